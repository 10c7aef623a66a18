from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.host import CannotLook, Local, Result
from gpucheck.probes import system

Machine = Callable[..., Any]

UBUNTU = """PRETTY_NAME="Ubuntu 22.04.3 LTS"
NAME="Ubuntu"
ID=ubuntu
ID_LIKE=debian
"""
FILES = {
    "/etc/os-release": UBUNTU,
    "/proc/sys/kernel/osrelease": "5.15.0-91-generic\n",
    "/proc/meminfo": "MemTotal:       16183364 kB\nMemFree:         1234 kB\n",
    "/proc/mounts": "tmpfs /dev/shm tmpfs rw,nosuid,nodev,inode64 0 0\n",
    "/sys/devices/system/cpu/online": "0-3\n",
}
RUNS = {
    ("uname", "-m"): Result(code=0, out="x86_64\n", err=""),
    system.ENVIRONMENT: Result(code=0, out="CUDA_VISIBLE_DEVICES=\nLD_LIBRARY_PATH=/opt/lib\nend\n", err=""),
}


def test_a_host(machine: Machine) -> None:
    found = system.probe(machine(FILES, RUNS))
    assert (found.os, found.os_family, found.os_id) == ("Ubuntu 22.04.3 LTS", "debian", "ubuntu")
    assert (found.kernel, found.arch, found.cpus) == ("5.15.0-91-generic", "x86_64", 4)
    assert found.memory_bytes == 16183364 * 1024
    assert found.shm_bytes == found.memory_bytes // 2
    assert (found.container, found.wsl) == (None, False)
    assert found.environment == {"CUDA_VISIBLE_DEVICES": "", "LD_LIBRARY_PATH": "/opt/lib"}


def test_without_proc_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook):
        system.probe(machine({"/etc/os-release": UBUNTU}, RUNS))


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian", "debian"),
        ("ID=linuxmint\nID_LIKE=ubuntu", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "rhel"),
        ("ID=fedora", "rhel"),
        ('ID="amzn"\nID_LIKE="fedora"', "rhel"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "suse"),
        ('ID="sles"\nID_LIKE="suse"', "suse"),
        ("ID=manjaro\nID_LIKE=arch", "arch"),
        ("ID=nixos", "nixos"),
        ("", None),
    ],
)
def test_families(text: str, family: str | None) -> None:
    assert system.os_family(system.parse_os_release(text)) == family


def test_os_release_that_is_odd_or_torn() -> None:
    text = '# a comment\n\nNAME=\'A "quoted" name\'\nID=x\nnonsense\nPRETTY_NAME="torn'
    assert system.parse_os_release(text) == {"NAME": 'A "quoted" name', "ID": "x", "PRETTY_NAME": "torn"}


@pytest.mark.parametrize(("text", "cpus"), [("0\n", 1), ("0-1,4-7\n", 6), ("", None)])
def test_cpu_list(text: str, cpus: int | None) -> None:
    assert system.parse_cpu_list(text) == cpus


def test_shm_of_a_container_is_64_mib() -> None:
    mounts = "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k,inode64 0 0\n"
    assert system.parse_shm(mounts, 10**10) == 64 * 2**20
    assert system.parse_shm("overlay / overlay rw,size=1k 0 0\ntorn", 10**10) is None


def test_a_folder_mounted_as_shm_has_the_size_of_its_disk() -> None:
    assert system.parse_shm("tmpfs /dev/shm tmpfs rw 0 0\n/dev/sda1 /dev/shm ext4 rw 0 0\n", 10**10) is None


def test_no_other_variable_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a real shell, among variables of which some are secret, empty, or look like two."""
    for name in system.VARIABLES + system.JOBS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRET", "s3cret")
    monkeypatch.setenv("XLA_FLAGS", "--a=$SECRET --b='`id`'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = Local().run(system.ENVIRONMENT).out
    assert system.parse_environment(text) == {"XLA_FLAGS": "--a=$SECRET --b='`id`'", "CUDA_VISIBLE_DEVICES": ""}
    assert "s3cret" not in text


def test_of_a_job_only_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "1234.s3cret.example.com")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    text = Local().run(system.ENVIRONMENT).out
    assert "s3cret" not in text
    told = system.parse_environment(text)
    assert told["PBS_JOBID"] == ""
    assert "SLURM_JOB_ID" not in told


HOSTS_MOUNT = "/dev/sda1 /etc/hosts ext4 rw 0 0\n"


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({}, None),
        ({"/.dockerenv": "", "/proc/mounts": HOSTS_MOUNT}, "docker"),
        ({"/.dockerenv": ""}, None),  # a virtual machine made from an image
        ({"/run/.containerenv": 'engine="podman-4.9.3"\n', "/proc/mounts": HOSTS_MOUNT}, "podman"),
        ({"/proc/mounts": f"{HOSTS_MOUNT}/dev/sda1 /dev/termination-log ext4 rw 0 0\n"}, "kubernetes"),
        ({"/.singularity.d": "env\nlibs\n"}, "apptainer"),
        ({"/run/systemd/container": "lxc\n"}, "lxc"),
        ({"/run/systemd/container": "wsl\n"}, None),
        ({"/proc/1/cgroup": "12:cpu:/kubepods/besteffort/pod1/2\n"}, "kubepods"),
        ({"/proc/1/cgroup": "0::/init.scope\n"}, None),
    ],
)
def test_containers(machine: Machine, files: dict[str, str], container: str | None) -> None:
    assert system.probe(machine({**FILES, **files}, RUNS)).container == container


@pytest.mark.parametrize(
    "files",
    [
        {"/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n"},
        {"/proc/sys/kernel/osrelease": "6.6.1-mine\n", "/proc/sys/fs/binfmt_misc/WSLInterop": "enabled\n"},
    ],
)
def test_wsl(machine: Machine, files: dict[str, str]) -> None:
    assert system.probe(machine({**FILES, **files}, RUNS)).wsl


def test_a_virtual_machine_and_its_maker(machine: Machine) -> None:
    files = {f"{system.DMI}/sys_vendor": "Google\n", f"{system.DMI}/product_name": "Google Compute Engine\n"}
    found = system.probe(machine({**FILES, **files}, RUNS))
    assert (found.vendor, found.product, found.hypervisor) == ("Google", "Google Compute Engine", "google")


@pytest.mark.parametrize(
    ("vendor", "product", "made"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "qemu"),
        ("Red Hat", "KVM", "kvm"),
        ("Amazon EC2", "g4dn.xlarge", "amazon"),
        ("Amazon EC2", "g4dn.metal", None),
        ("Microsoft Corporation", "Virtual Machine", "hyper-v"),
        ("Microsoft Corporation", "Surface Laptop 5", None),
        ("VMware, Inc.", "VMware Virtual Platform", "vmware"),
        ("Dell Inc.", "PowerEdge XE9680", None),
        (None, None, None),
    ],
)
def test_hypervisors(vendor: str | None, product: str | None, made: str | None) -> None:
    assert system.hypervisor(vendor, product) == made


def test_a_masked_folder_takes_nothing_else_away(machine: Machine) -> None:
    closed = CannotLook("/sys/class/dmi/id/sys_vendor: Permission denied")
    found = system.probe(machine({**FILES, f"{system.DMI}/sys_vendor": closed}, RUNS))
    assert (found.vendor, found.cpus) == (None, 4)


ARM = {**RUNS, ("uname", "-m"): Result(code=0, out="aarch64\n", err="")}
TREE = {
    "/proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0",
    "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
}


@pytest.mark.parametrize(
    ("files", "runs", "board"),
    [
        (TREE, ARM, "NVIDIA Jetson AGX Orin Developer Kit"),
        ({"/proc/sys/kernel/osrelease": "5.15.148-tegra\n"}, ARM, "a Jetson"),  # in a container
        ({"/proc/device-tree/compatible": "raspberrypi,5-model-b\0"}, ARM, None),
        ({}, ARM, None),
        (TREE, RUNS, None),
    ],
)
def test_jetsons(
    machine: Machine, files: dict[str, str], runs: dict[tuple[str, ...], Result], board: str | None
) -> None:
    assert system.probe(machine({**FILES, **files}, runs)).jetson == board


@pytest.mark.parametrize(("variable", "colab"), [("COLAB_RELEASE_TAG=x", True), ("COLAB_GPU=", True), ("", False)])
def test_colab(machine: Machine, variable: str, colab: bool) -> None:
    runs = {**RUNS, system.ENVIRONMENT: Result(code=0, out=f"{variable}\nend\n", err="")}
    assert system.probe(machine(FILES, runs)).colab is colab


def test_a_mac_has_no_proc(machine: Machine) -> None:
    plist = "<dict><key>ProductVersion</key>\n\t<string>15.5</string></dict>"
    runs = {**RUNS, ("uname", "-sr"): Result(code=0, out="Darwin 24.5.0\n", err="")}
    found = system.probe(machine({system.MAC_VERSION: plist}, runs))
    assert (found.os, found.platform, found.kernel, found.os_family) == ("macOS 15.5", "Darwin", "24.5.0", None)


def test_a_linux_without_proc_cannot_be_looked_at(machine: Machine) -> None:
    runs = {**RUNS, ("uname", "-sr"): Result(code=0, out="Linux 6.1.0\n", err="")}
    with pytest.raises(CannotLook, match="/proc"):
        system.probe(machine({}, runs))


@pytest.mark.parametrize(
    "result",
    [
        Result(code=127, out="", err="sh: no such command"),
        Result(code=0, out="", err=""),
        Result(code=0, out="CUDA_VISIBLE_DEV", err=""),
        Result(code=-9, out="end\n", err=""),
    ],
)
def test_variables_that_were_not_told_are_not_taken_for_unset(machine: Machine, result: Result) -> None:
    with pytest.raises(CannotLook, match="variables"):
        system.probe(machine(FILES, {**RUNS, system.ENVIRONMENT: result}))


def test_a_system_of_no_known_name_cannot_be_looked_at(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="/proc"):
        system.probe(machine({}, {**RUNS, ("uname", "-sr"): Result(code=0, out="\0\xff 1\n", err="")}))
