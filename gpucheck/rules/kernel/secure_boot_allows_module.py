"""With Secure Boot on, the kernel loads only signed modules; one built on this machine is signed by nobody it knows.

modprobe says "could not insert 'nvidia': Key was rejected by service" or "Required key not available".
"""

import re

from gpucheck.facts import Driver, Kernel, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import no_host_kernel

# Names of keys that are made on the machine: by DKMS, by Ubuntu's shim-signed, by NVIDIA's installer, by akmods
# (kmodgenca: host_seconds_hash). A distribution's own key is built into its kernel, and in no list.
LOCAL = re.compile(
    r"DKMS module signing key|.*Secure Boot Module Signature key|nvidia-installer.*|\S+_\d{9,10}_[0-9a-f]{8}"
)
CLOUD = Remedy(
    text="in this virtual machine nobody sees the screen where a key is enrolled: switch Secure Boot off in its own "
    "settings (Azure: Configuration, Security type, Trusted launch; it restarts), or install a driver whose modules "
    "the distribution signed (Ubuntu: linux-modules-nvidia-*)",
    commands={"debian": ("apt-cache search --names-only '^linux-modules-nvidia-[0-9]+.*-azure$'",)},
    impact="reboot",
    url="https://learn.microsoft.com/en-us/azure/virtual-machines/linux/n-series-driver-setup",
)
ENROL = (
    "for key in /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.der /etc/pki/akmods/certs/public_key.der; do"
    ' if test -f "$key"; then sudo mokutil --import "$key"; fi; done',
)

UNSIGNED = Remedy(
    text="have the module built again so that it is signed: DKMS 3 and akmods do that with a key of this machine, so "
    "reinstall the package that built it; then enrol that key: mokutil takes a password, the firmware asks for it at "
    "the next boot. Or install modules that the distribution signed (Ubuntu: linux-modules-nvidia-*, with no "
    "nvidia-dkms-* beside them), or switch Secure Boot off in the firmware",
    commands={"debian": ("dkms status", *ENROL), "rhel": ENROL, "": ("mokutil --sb-state",)},
    impact="reboot",
    verify="gpucheck doctor --only kernel",
)


def judge(system: System, kernel: Kernel, driver: Driver) -> Outcome:
    if reason := no_host_kernel(system):
        return skip(reason)
    if kernel.secure_boot is False:
        return ok("Secure Boot is off")
    if driver.version:
        return ok(f"module {driver.version} was accepted" + (", and Secure Boot is on" if kernel.secure_boot else ""))
    if kernel.secure_boot is None:
        return skip("no UEFI variables are here: this machine started without UEFI, or efivarfs is not mounted")
    if kernel.module_error:
        return unsure(kernel.module_error)
    remedy = CLOUD if (system.vendor or "").startswith("Microsoft") and system.product == "Virtual Machine" else None
    if not kernel.module_signer:
        return bad(f"Secure Boot is on, and module {kernel.module_version} is not signed", remedy=remedy or UNSIGNED)
    if kernel.module_signer in (kernel.enrolled or ()):
        return ok(f"Secure Boot is on, and '{kernel.module_signer}', who signed the module, is enrolled")
    if kernel.enrolled and LOCAL.fullmatch(kernel.module_signer):
        keys = f"{len(kernel.enrolled)} enrolled key{'s' * (len(kernel.enrolled) > 1)}"
        said = f"Secure Boot is on, and '{kernel.module_signer}', who signed the module, is not among the {keys}"
        return bad(said, remedy=remedy)
    return unsure(
        f"Secure Boot is on; whether it trusts '{kernel.module_signer}', who signed the module, is not known here"
    )


RULE = Rule(
    id="kernel.secure-boot-allows-module",
    title="Secure Boot lets the nvidia module load",
    judge=judge,
    after=("kernel.module-built",),
    remedy=Remedy(
        text="enrol the key that signs modules here: mokutil takes a password, the firmware asks for it at the "
        "next boot; in a cloud, where nobody sees that screen, take a signed driver package or switch Secure Boot off",
        commands={"debian": ENROL, "rhel": ENROL, "": ("mokutil --sb-state", "mokutil --list-enrolled")},
        impact="reboot",
        verify="gpucheck doctor --only kernel",
    ),
)
