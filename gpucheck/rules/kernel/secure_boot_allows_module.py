"""With Secure Boot on, the kernel loads only signed modules; one built on this machine is signed by nobody it knows.

modprobe says "could not insert 'nvidia': Key was rejected by service" or "Required key not available".
"""

from gpucheck.facts import Driver, Kernel, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import no_host_kernel

DEBIAN = (
    "for key in /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.der; do"
    ' if test -f "$key"; then sudo mokutil --import "$key"; fi; done',
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
    if not kernel.module_signer:
        return bad(f"Secure Boot is on, and module {kernel.module_version} is not signed")
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
        commands={"debian": DEBIAN, "": ("mokutil --sb-state", "mokutil --list-enrolled")},
        impact="none",
    ),
)
