"""The driver comes from packages or from NVIDIA's .run file. Both on one machine overwrite each other's files.

It works until one of them is upgraded: then "Driver/library version mismatch", or a module that comes back unasked.
"""

from gpucheck.facts import Packages
from gpucheck.model import Outcome, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import TWO_INSTALLERS, listed


def judge(packages: Packages) -> Outcome:
    from_packages = listed({package.version for package in packages.driver})
    its = f" {packages.runfile_version}" if packages.runfile_version else ""
    if packages.runfile and packages.driver:
        return bad(
            f"{packages.manager} has driver {from_packages}, and NVIDIA's .run file put driver{its} here too",
            affects=tuple(package.name for package in packages.driver),
        )
    if packages.runfile:
        return ok(f"NVIDIA's .run file put driver{its} here, and no package did")
    if packages.driver:
        return ok(f"{packages.manager} has driver {from_packages}, and there is no .run file's uninstaller")
    return skip(
        "no package of NVIDIA's driver is here" if packages.manager else "no package manager that we know is here"
    )


RULE = Rule(
    id="packages.one-installer",
    title="One installer put the driver here",
    judge=judge,
    severity=Severity.WARNING,
    after=("driver.installed",),
    remedy=TWO_INSTALLERS,
)
