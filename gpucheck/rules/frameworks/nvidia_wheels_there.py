"""A framework from pip takes CUDA from NVIDIA's own wheels. `pip install tensorflow` alone does not bring them.

TensorFlow then says "Cannot dlopen some GPU libraries. Skipping registering GPU devices" and uses the CPU; torch says
"libcudnn.so.9: cannot open shared object file". What the linker finds on this machine serves as well.
"""

import re

from gpucheck.facts import Frameworks, Linker, Package, Wanted
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

# Without one of these no GPU is registered. A wheel's first number is its library's: nvidia-cufft-cu12 11.2 has .so.11.
LIBRARIES = {
    "cuda-runtime": "libcudart", "cublas": "libcublas", "cudnn": "libcudnn", "cufft": "libcufft",
    "cusolver": "libcusolver", "cusparse": "libcusparse",
}  # fmt: skip
EXTRAS = {"tensorflow": "and-cuda", "jax-cuda-plugin": "with-cuda"}


def judge(frameworks: Frameworks, linker: Linker | None) -> Outcome:
    installed = {package.name for package in frameworks.packages}
    wanting = [(package, wants) for package in frameworks.packages if (wants := _needed(package))]
    if not wanting:
        return skip("no framework here takes CUDA from NVIDIA's wheels")
    for package, wants in wanting:
        missing = [want for want in wants if want.name not in installed]
        elsewhere = [want for want in missing if linker and _in_reach(want, linker)]
        lost = [want for want in missing if want not in elsewhere]
        if lost and (linker is None or linker.cache_error):
            why = linker.cache_error if linker else "the linker could not be asked"
            return unsure(f"{package.name} {package.version} lacks {lost[0].name}; whether it is elsewhere: {why}")
        if lost:
            return bad(_lacks(package, wants, lost), affects=(package.path,), remedy=_install(package, installed))
    names = ", ".join(f"{package.name} {package.version} ({len(wants)})" for package, wants in wanting)
    return ok(f"CUDA's libraries are all here: {names}")


def _needed(package: Package) -> list[Wanted]:
    return [want for want in package.wants if _part(want.name) in LIBRARIES]


def _part(name: str) -> str:
    return re.sub(r"-cu\d+$", "", name.removeprefix("nvidia-"))


def _in_reach(want: Wanted, linker: Linker) -> bool:
    soname = f"{LIBRARIES[_part(want.name)]}.so." + (str(want.oldest.major) if want.oldest else "")
    return any(f"{name}.".startswith(soname if soname.endswith(".") else f"{soname}.") for name in linker.cuda)


def _lacks(package: Package, wants: list[Wanted], lost: list[Wanted]) -> str:
    names = ", ".join(want.name for want in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
    return f"{package.name} {package.version} lacks {names} of {count(len(wants), 'wheel')} that it needs"


def _install(package: Package, installed: set[str]) -> Remedy:
    """The extra that brings them all, or each that its metadata names."""
    extra = EXTRAS.get(re.sub(r"\d+", "", package.name))
    each = " ".join(f"'{want.name}{want.versions}'" for want in package.wants if want.name not in installed)
    wheels = each if extra is None or "+" in str(package.version) else f"'{package.name}[{extra}]=={package.version}'"
    return Remedy(
        text=f"install them into the environment of {package.name}",
        commands={"": (f"python3 -m pip install {wheels}",)},
        verify="gpucheck doctor --only frameworks",
        url="https://packaging.python.org/en/latest/tutorials/installing-packages/#installing-extras",
    )


RULE = Rule(
    id="frameworks.nvidia-wheels-there",
    title="NVIDIA's wheels are there for the installed frameworks",
    judge=judge,
    after=("frameworks.one-uses-gpu",),
)
