# Ends this machine MINUTES minutes after its first boot; at each boot, as early as can be.
# D-Bus is not up yet: systemd-run as root speaks to PID 1's private socket. --no-block, as what runs this is itself
# waited for by the targets that a timer comes after.
umask 022
console=/dev/console
[ ! -r /etc/gpucheck/local.env ] || . /etc/gpucheck/local.env
console=${CONSOLE:-$console}
mkdir -p /var/lib/gpucheck
ends=/var/lib/gpucheck/expires
[ -s "$ends" ] || echo $(($(date +%s) + MINUTES * 60)) > "$ends"
left=$(($(cat "$ends") - $(date +%s)))
say() {
    line="gpucheck-boot $RUN $*"
    echo "$line $(printf %s "$line" | sha256sum | cut -c1-8)" >> "$console"
}
[ -s /run/gpucheck-boot ] || date +%s > /run/gpucheck-boot
say boot "$(cat /run/gpucheck-boot)"
if [ ! -d /run/systemd/system ]; then
    say note "there is no systemd here: nothing ends this machine at its expiry"
elif [ "$left" -le 0 ]; then
    say note "this machine is past its expiry: powering off"
    systemctl poweroff --no-block
elif ! systemd-run --no-block --unit=gpucheck-expiry --on-active="$left" --property=DefaultDependencies=no \
    --timer-property=DefaultDependencies=no systemctl poweroff; then
    say note "the timer that ends this machine at its expiry could not be set: powering off"
    systemctl poweroff --no-block
fi
