"""A machine as a plan sees it: its driver and its GPUs, as found or as assumed of another machine."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpucheck.compat import Compat, own_gpus
from gpucheck.facts import Driver, Facts, Nvml, Pci, Version
from gpucheck.model import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """driver is None where none was found; a GPU's compute capability where neither NVML nor a table tells it."""

    driver: Version | None
    gpus: tuple[tuple[str, Version | None], ...]  # label, compute capability
    how: str  # where that is known from
    unknown: str | None = None  # why nobody could tell whether there is a GPU, or which driver

    @property
    def capabilities(self) -> tuple[Version, ...]:
        """All that are known, each once."""
        return tuple(sorted({capability for _, capability in self.gpus if capability is not None}))

    def named(self, capabilities: Iterable[Version]) -> str:
        """ "compute capability 6.0 (2 x P100) and 8.0 (A100)"."""
        words = []
        for capability in capabilities:
            labels = Counter(label for label, of in self.gpus if of == capability and label != str(capability))
            names = ", ".join(f"{number} x {label}" if number > 1 else label for label, number in labels.items())
            words.append(f"{capability} ({names})" if names else str(capability))
        return "compute capability " + " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def machine_of(facts: Facts, compat: Compat) -> Machine:
    """The machine that was examined (Pci, Driver, Nvml): its GPUs by NVML, or else by the bus."""
    pci, driver, nvml = facts.known.get(Pci), facts.known.get(Driver), facts.known.get(Nvml)
    version = (driver.version if driver else None) or (nvml.driver_version if nvml else None)
    unlooked = f"the driver could not be looked at: {facts.unknown[Driver]}" if Driver in facts.unknown else None
    blind = unlooked if version is None else None
    if nvml and nvml.gpus:
        by_name = [(gpu.name or f"GPU {gpu.index}", gpu.compute_capability) for gpu in nvml.gpus]
        told = tuple((label, capability or compat.capability_of(label)) for label, capability in by_name)
        return Machine(driver=version, gpus=told, how="as NVML says", unknown=blind)
    mine = own_gpus(pci) if pci else []
    on_bus = tuple((f"the GPU at {gpu.address}", compat.capability_of_device(gpu.device_id)) for gpu in mine)
    how = "all of its GPUs are given to virtual machines" if pci and pci.gpus and not mine else "as the PCI bus says"
    if pci is None:
        how = blind = f"the PCI bus could not be looked at: {facts.unknown.get(Pci, 'nobody asked')}"
    return Machine(driver=version, gpus=on_bus, how=how, unknown=blind if on_bus or pci is None else None)


def assumed(compat: Compat, driver: str | None, gpus: Sequence[str]) -> Machine:
    """Another machine, of whose GPUs each is a name ("T4", "RTX 4090") or a compute capability ("8.6").

    Raises Failure where that is no driver's version, or no GPU that the tables know.
    """
    if driver is not None and not re.fullmatch(r"\d{3}(\.\d+)+", driver):
        branch = [release.driver for release in compat.releases if str(release.driver.major) == driver]
        tip = f"a whole version, as nvidia-smi shows it: {(branch or [compat.releases[-1].driver])[0]}"
        raise Failure(f"{driver!r} is not the version of a driver", tip)
    known = tuple(_gpu(compat, gpu.strip()) for gpu in gpus)
    return Machine(driver=Version(driver) if driver else None, gpus=known, how="as assumed")


def _gpu(compat: Compat, gpu: str) -> tuple[str, Version]:
    if re.search(r"[,;+/&]| (?:and|or) ", gpu):  # the longest of several names would stand for all
        raise Failure(f"{gpu!r} names more than one GPU", 'give each its own: --assume-gpu "T4" --assume-gpu "A100"')
    if re.fullmatch(r"\d+\.\d+", gpu):
        known = {str(span.capability): span.capability for span in compat.capabilities}
        known |= {str(model.capability): model.capability for model in compat.models}
        if gpu not in known:
            shown = ", ".join(map(str, sorted(known.values())))
            raise Failure(f"the tables know no GPU of compute capability {gpu}", f"they know {shown}")
        return gpu, known[gpu]
    capability = compat.capability_of(gpu) or compat.capability_of(f"GeForce {gpu}")
    if capability is None:
        names = {model.name.lower(): model.name for model in compat.models}
        alike = [name for low, name in names.items() if gpu and gpu.lower() in low]
        near = alike or [names[low] for low in difflib.get_close_matches(gpu.lower(), names, n=3, cutoff=0.5)]
        tip = f"did you mean {' or '.join(near[:3])}?" if near else "say its compute capability: --assume-gpu 8.6"
        raise Failure(f"the tables know no GPU that is called {gpu!r}" if len(alike) < 2 else
                      f"{gpu!r} may be one of several GPUs, not all of one compute capability", tip)  # fmt: skip
    return gpu, capability
