#!/bin/sh
# From a bare machine to reports of gpucheck, on the serial console and in /var/lib/gpucheck/reports.
# cloud-init runs it at each boot: it goes on after the driver's reboot, and once all is done it prints the reports
# again and changes nothing. Settings: first-boot.env; local.env beside it is for an image of your own (mirrors, proxies).
set -u
umask 022
export HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
CONSOLE=/dev/console RETRY=15
TOOLKIT_REPO=https://nvidia.github.io/libnvidia-container
CUDA_REPO=https://developer.download.nvidia.com/compute/cuda/repos
DOCKER_REPO=https://download.docker.com/linux
# shellcheck disable=SC1091
. /etc/gpucheck/first-boot.env
# shellcheck disable=SC1091
[ ! -r /etc/gpucheck/local.env ] || . /etc/gpucheck/local.env
LIB=/var/lib/gpucheck
PYTHON=/opt/gpucheck/bin/python
ARCH=$(uname -m)

have() { command -v "$1" > /dev/null 2>&1; }

say() { # WORD TEXT: a line on the console
    line=$(printf 'gpucheck-boot %s %s' "$RUN" "$*" | LC_ALL=C tr -cd ' -~' | cut -c1-900 | sed 's/ *$//')
    echo "$line $(printf %s "$line" | sha256sum | cut -c1-8)" >> "$CONSOLE"
}

last() { # the last line of a log
    sed '/^[[:space:]]*$/d' "$1" | tail -n 1 | cut -c1-200
}

systemd() { [ -d /run/systemd/system ]; }

debs() { case "$DISTRIBUTION" in ubuntu-* | debian-*) ;; *) return 1 ;; esac }

# --- Packages ---

retry() { # mirrors hiccup, and at the first boot the system's own updates hold the lists
    for _ in 1 2 3 4; do
        "$@" && return
        sleep "$RETRY"
    done
    "$@"
}

install() {
    if debs; then
        retry apt-get -q update
        retry apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
    else
        retry dnf -y install "$@"
    fi
}

fetch() { # URL FILE, whole or not at all
    have curl || install ca-certificates curl
    mkdir -p "${2%/*}"
    retry curl -fsSL --proto-redir =https -o "$2.part" "$1"
    mv "$2.part" "$2"
}

apt_repository() { # NAME KEY-URL WHERE
    fetch "$2" "/etc/apt/keyrings/$1.asc"
    echo "deb [signed-by=/etc/apt/keyrings/$1.asc] $3" > "/etc/apt/sources.list.d/$1.list"
}

# --- The driver ---

driver_works() { nvidia-smi -L > /dev/null 2>&1; }

secure_boot() { # the last byte of an EFI variable
    for variable in /sys/firmware/efi/efivars/SecureBoot-*; do
        [ -r "$variable" ] && [ "$(od -An -tu1 -j4 -N1 "$variable" | tr -d ' ')" = 1 ]
    done
}

nvswitch() { # a bridge of NVIDIA's: GPUs that no program can use before the fabric manager has linked them
    for device in /sys/bus/pci/devices/*; do
        case "$(cat "$device/vendor" "$device/class" 2> /dev/null | tr '\n' ' ')" in "0x10de 0x0680"*) return 0 ;; esac
    done
    return 1
}

driver() {
    ! driver_works || return 0
    case "$DISTRIBUTION" in
        ubuntu-*) ubuntu_driver ;;
        *)
            if secure_boot; then # DKMS signs with a key that this firmware does not know
                echo "Secure Boot is on and would refuse these modules: switch it off, or take Ubuntu or an image with a driver"
                return 1
            fi
            case "$DISTRIBUTION" in
                debian-12) debian_driver ;;
                *) dnf_driver ;;
            esac
            ;;
    esac
    modprobe nvidia || true # built for the next kernel, perhaps
}

ubuntu_driver() { # Canonical's modules, built and signed for its kernels
    flavour=$(uname -r) flavour=${flavour##*-} open=''
    case "$flavour" in aws | gcp | azure | generic) ;; *) flavour=${PROVIDER:-generic} ;; esac
    [ "$OPEN_MODULE" = 0 ] || open=-open
    fabric=''
    ! nvswitch || fabric="nvidia-fabricmanager-$DRIVER"
    install "linux-modules-nvidia-$DRIVER-server$open-$flavour" "nvidia-headless-no-dkms-$DRIVER-server$open" \
        "nvidia-utils-$DRIVER-server" ${fabric:+"$fabric"}
}

debian_driver() {
    case "$ARCH" in aarch64) arch=sbsa ;; *) arch=$ARCH ;; esac
    case "$(uname -r)" in *-cloud-*) kernel=cloud-$(dpkg --print-architecture) ;; *) kernel=$(dpkg --print-architecture) ;; esac
    fetch "$CUDA_REPO/debian12/$arch/cuda-keyring_1.1-1_all.deb" /var/cache/gpucheck/cuda-keyring.deb
    dpkg -i /var/cache/gpucheck/cuda-keyring.deb
    install "linux-image-$kernel" "linux-headers-$kernel" "nvidia-driver-pinning-$DRIVER"
    driver=cuda-drivers fabric=''
    [ "$OPEN_MODULE" = 0 ] || driver=nvidia-open
    ! nvswitch || { [ "$DRIVER" -ge 580 ] && fabric=nvidia-fabricmanager || fabric="nvidia-fabricmanager-$DRIVER"; }
    install "$driver" ${fabric:+"$fabric"}
}

dnf_driver() {
    case "$ARCH" in aarch64) arch=sbsa ;; *) arch=$ARCH ;; esac
    release=$(uname -r)
    case "$DISTRIBUTION:$release" in
        rhel-9:*)
            repository=rhel9
            rpm -q epel-release > /dev/null || install https://dl.fedoraproject.org/pub/epel/epel-release-latest-9.noarch.rpm
            install kernel-devel-matched kernel-headers dkms
            ;;
        *:6.1.*) repository=amzn2023 && install "kernel-devel-$release" "kernel-modules-extra-$release" dkms ;;
        *)
            repository=amzn2023 kernel=kernel$(echo "$release" | cut -d. -f1,2)
            install --allowerasing "$kernel-devel-$release" "$kernel-modules-extra-$release" dkms
            ;;
    esac
    fetch "$CUDA_REPO/$repository/$arch/cuda-$repository.repo" "/etc/yum.repos.d/cuda-$repository.repo"
    driver=cuda-drivers stream=$DRIVER-dkms fabric=''
    [ "$OPEN_MODULE" = 0 ] || driver=nvidia-open stream=$DRIVER-open
    ! nvswitch || fabric=nvidia-fabricmanager
    dnf -y module enable "nvidia-driver:$stream"
    install "$driver" ${fabric:+"$fabric"}
}

# --- Docker and the container toolkit ---

docker_engine() {
    if ! have docker; then
        case "$DISTRIBUTION" in
            ubuntu-*) install docker.io ;;
            debian-12) # its own is 20.10, which knows no CDI
                apt_repository docker "$DOCKER_REPO/debian/gpg" "$DOCKER_REPO/debian bookworm stable"
                install docker-ce
                ;;
            rhel-9)
                fetch "$DOCKER_REPO/rhel/docker-ce.repo" /etc/yum.repos.d/docker-ce.repo
                install docker-ce
                ;;
            *) install docker ;;
        esac
    fi
    ! systemd || systemctl enable --now docker
}

container_toolkit() {
    if ! have nvidia-ctk; then
        if debs; then
            apt_repository nvidia-container-toolkit "$TOOLKIT_REPO/gpgkey" \
                "$TOOLKIT_REPO/stable/deb/$(dpkg --print-architecture) /"
        else
            fetch "$TOOLKIT_REPO/stable/rpm/nvidia-container-toolkit.repo" /etc/yum.repos.d/nvidia-container-toolkit.repo
        fi
        install nvidia-container-toolkit
    fi
    before=$(cat /etc/docker/daemon.json 2> /dev/null || true)
    nvidia-ctk runtime configure --runtime=docker --cdi.enabled
    if driver_works && ! ls /etc/cdi/*nvidia* /var/run/cdi/*nvidia* > /dev/null 2>&1; then
        # Toolkits from 1.18 keep a spec by a service of theirs; a second one beside it would make all devices ambiguous.
        if systemd && systemctl cat nvidia-cdi-refresh.service > /dev/null 2>&1; then
            systemctl restart nvidia-cdi-refresh.service
        else
            nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml
        fi
    fi
    if systemd && [ "$before" != "$(cat /etc/docker/daemon.json)" ]; then
        systemctl restart docker
    fi
}

# --- gpucheck ---

new_enough() { "$1" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; }

python() { # one that is new enough and can make a venv
    for each in python3 python3.13 python3.12 python3.11; do
        if new_enough "$each"; then
            echo "$each"
            return
        fi
    done
    return 1
}

gpucheck_itself() {
    if ! python > /dev/null; then
        case "$DISTRIBUTION" in
            ubuntu-22.04) install python3.11 python3.11-venv ;;
            ubuntu-* | debian-*) install python3-venv ;;
            *) install python3.11 ;;
        esac
    fi
    [ -x "$PYTHON" ] || "$(python)" -m venv /opt/gpucheck
    retry "$PYTHON" -m pip install --quiet --disable-pip-version-check --only-binary gpucheck "$PACKAGE"
    if ! ls /opt/gpucheck/lib/python3*/site-packages/gpucheck/consoles.py; then # a stranger's, of which nothing has run
        rm -rf /opt/gpucheck
        echo "what pip found for $PACKAGE is another project's"
        return 1
    fi
}

# --- The course ---

step() { # NAME FUNCTION: once; in a shell of its own, so that its first failing command ends it
    [ ! -e "$LIB/steps/$1" ] || return 0
    say step "$1"
    if sh -eu "$0" "$2" > "$LIB/log/$1" 2>&1; then
        : > "$LIB/steps/$1"
        return 0
    fi
    say failed "$1: $(last "$LIB/log/$1")"
    return 1
}

reboot_for_driver() { # once; false where there is nothing to reboot for
    [ -n "$DRIVER" ] && [ ! -e "$LIB/steps/reboot" ] && systemd && ! driver_works || return 1
    : > "$LIB/steps/reboot"
    say step reboot
    systemctl reboot --no-block
}

set_up() {
    [ -z "$DRIVER" ] || step driver driver || return 1
    ! reboot_for_driver || exit 0
    step docker docker_engine && step toolkit container_toolkit
}

report() { # NAME ARGUMENTS: its exit code and what it printed are kept
    name=$1
    [ ! -e "$LIB/exit/$name" ] || return 0
    say step "$name"
    shift
    /opt/gpucheck/bin/gpucheck "$name" "$@" > "$LIB/log/$name.out" 2> "$LIB/log/$name"
    code=$?
    if [ "$name" = build ]; then
        [ "$code" = 0 ] || say note "build: $(last "$LIB/log/$name")"
    elif [ -s "$LIB/log/$name.out" ]; then
        mv "$LIB/log/$name.out" "$LIB/reports/$name.json"
        "$PYTHON" -B -m gpucheck.consoles "$RUN" "$LIB/reports/$name.json" >> "$CONSOLE"
    else
        say note "$name: $(last "$LIB/log/$name")"
    fi
    echo "$code" > "$LIB/exit/$name"
}

host_keys() {
    for key in /etc/ssh/ssh_host_*_key.pub; do
        [ ! -r "$key" ] || say host-key "$(cut -d' ' -f1,2 "$key") $(ssh-keygen -lf "$key" -E sha256 | cut -d' ' -f2)"
    done
}

all_again() { # once more: what the kernel's messages tore, or the console's end cut off
    names='' codes=''
    for name in $STEPS; do
        [ ! -e "$LIB/exit/$name" ] || codes="$codes $name=$(cat "$LIB/exit/$name")"
        [ ! -e "$LIB/reports/$name.json" ] || names="$names $name"
    done
    [ "$HOST_KEYS" = 0 ] || host_keys
    for name in $names; do
        "$PYTHON" -B -m gpucheck.consoles "$RUN" "$LIB/reports/$name.json" >> "$CONSOLE"
    done
    for _ in 1 2; do
        say "reports$names"
        say "done$codes"
    done
}

main() {
    mkdir -p "$LIB/steps" "$LIB/log" "$LIB/exit" "$LIB/reports"
    [ -s /run/gpucheck-boot ] || date +%s > /run/gpucheck-boot
    say boot "$(cat /run/gpucheck-boot)"
    if [ ! -e "$LIB/done" ]; then
        [ "$HOST_KEYS" = 0 ] || host_keys
        steps=doctor whole=no
        if set_up; then steps=$STEPS whole=yes; fi
        if step gpucheck gpucheck_itself; then
            for each in $STEPS; do # without a machine that is set up there is but doctor, who names the cause
                case " $steps " in *" $each "*) ;; *) continue ;; esac
                case "$each" in
                    doctor) report doctor --format json ;;
                    build) report build --framework "$FRAMEWORK" ;;
                    verify) report verify --framework "$FRAMEWORK" --format json ;;
                esac
            done
            [ "$whole" = no ] || : > "$LIB/done"
        fi
    fi
    all_again
    [ -e "$LIB/done" ] && return
    rm -f "$LIB"/exit/* # what was asked of a machine that is not set up is asked again at the next boot
    return 1
}

"${1-main}"
