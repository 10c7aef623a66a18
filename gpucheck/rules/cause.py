"""Why a run that should have used the GPU did not: the silent falls, by name."""

from __future__ import annotations

from gpucheck.facts import Driver, Pci, Placement, Run


def of_the_fall(run: Run, placement: Placement | None, pci: Pci | None, driver: Driver | None) -> str:
    """ ", because ..." as the end of a sentence, with the framework's own words; says so where nothing is known."""
    name = " and ".join(run.frameworks) or "the framework"
    found = _known(run, placement, pci, driver, name)
    said = placement.reasons[0] if placement and placement.reasons else None
    if found:
        return f", because {found}" + (f"; {name} said: {said}" if said else "")
    muted = f", muted by {run.muted}" if run.muted else ""
    return f", and {name} said why: {said}" if said else f", and {name} did not say why{muted}"


def _known(run: Run, placement: Placement | None, pci: Pci | None, driver: Driver | None, name: str) -> str | None:
    if pci and not pci.gpus and not (driver and driver.devices):
        return "this machine has no NVIDIA GPU"
    if driver and driver.version is None and not any(node.path == "/dev/dxg" for node in driver.devices):
        return "the NVIDIA driver is not loaded"
    if run.hidden_by:
        return f"{run.hidden_by} hides the GPUs"
    if run.forced:
        return f"{run.forced} forces the CPU"
    if placement and placement.gpu_kernels is None:
        return f"this {name} was built without GPU kernels"
    # TensorFlow sees no GPU without NVML, and says nothing; the others do without.
    missing = [name for name in run.missing_libraries if "libcuda" in name or "tensorflow" in run.frameworks]
    return f"{' and '.join(missing)} cannot be loaded where it ran" if missing else None
