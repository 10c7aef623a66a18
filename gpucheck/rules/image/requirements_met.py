"""Images of NVIDIA's say which driver they need, in NVIDIA_REQUIRE_CUDA; the container toolkit refuses the rest.

"requirement error: unsatisfied condition: cuda>=12.8, please update your driver". Words apart from each other are
alternatives, commas join. NVIDIA_DISABLE_REQUIRE=true starts it all the same, and CUDA then fails in the container.
"""

import operator
import re
from collections.abc import Mapping

from gpucheck.facts import Driver, Gpu, Image, Nvml, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure

# Source: NVIDIA/nvidia-container-toolkit, internal/requirements/constraints/factory.go
COMPARE = {
    "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
FACTOR = re.compile(r"(\w+)(!=|<=|>=|=|<|>)(.+)")


def judge(image: Image, driver: Driver, nvml: Nvml) -> Outcome:
    if not image.requirements:
        return skip("the image says nothing of the driver that it needs")
    if nvml.driver_version is None and driver.version is None:
        return unsure("no driver's version is known here")
    for requirement in image.requirements:
        for gpu in nvml.gpus or (Gpu(index=0),):
            met = holds(requirement, _properties(driver, nvml, gpu))
            if met is None:
                return unsure(f"whether {shortened(requirement)} holds is not known here")
            if not met:
                off = ", which NVIDIA_DISABLE_REQUIRE keeps the toolkit from saying" if image.requirements_off else ""
                return bad(
                    f"it needs {shortened(requirement)}; this is driver {nvml.driver_version or driver.version} with "
                    f"CUDA {nvml.cuda_version or 'unknown'}{off}",
                    affects=(gpu.name,) if gpu.name and len(nvml.gpus) > 1 else (),
                )
    return ok(f"driver {nvml.driver_version or driver.version} meets {shortened(image.requirements[0])}")


def holds(requirement: str, known: Mapping[str, str | None]) -> bool | None:
    """Whether one requirement is met; None where that rests on what is not known. Other properties do not count."""
    terms = []
    for term in requirement.split():
        factors = [m.groups() for factor in term.split(",") if (m := FACTOR.fullmatch(factor)) and m[1] in known]
        if factors:
            answers = [_compare(known[name], sign, value) for name, sign, value in factors]
            terms.append(False if False in answers else None if None in answers else True)
    if not terms or True in terms:
        return True
    return None if None in terms else False


def shortened(requirement: str) -> str:
    """The first alternative; the others are old drivers of data-center cards."""
    first, *others = requirement.split() or [""]
    return f"{first} (or one of {len(others)} other combinations)" if others else first


def _compare(have: str | None, sign: str, want: str) -> bool | None:
    if have is None:
        return None
    if have[:1].isdigit() and want[:1].isdigit():
        return bool(COMPARE[sign](Version(have), Version(want)))
    return bool(COMPARE[sign](have, want))


def _properties(driver: Driver, nvml: Nvml, gpu: Gpu) -> dict[str, str | None]:
    version, brand = nvml.driver_version or driver.version, (gpu.brand or "").lower().replace(" ", "")
    return {
        "cuda": str(nvml.cuda_version) if nvml.cuda_version else None,
        "driver": str(version) if version else None,
        "arch": str(gpu.compute_capability) if gpu.compute_capability else None,
        "brand": brand.removeprefix("nvidia") if brand not in ("nvidia", "nvidiartx") else brand,
    }


RULE = Rule(
    id="image.requirements-met",
    title="This driver is what the image requires",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="upgrade the driver, or take an earlier tag of the image, built for an older CUDA",
        impact="reboot",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/index.html",
    ),
)
