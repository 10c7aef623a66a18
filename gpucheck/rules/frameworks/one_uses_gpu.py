"""Where every framework installed is a CPU-only build, training runs on the CPU, and most of them never say why.

torch.cuda.is_available() is False. JAX without its CUDA plugin: "An NVIDIA GPU may be present on this machine, but a
CUDA-enabled jaxlib is not installed. Falling back to cpu." One that can use the GPU is enough: another beside it may be
there to load data.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

INTO = "install the CUDA build, best into an environment of its own; `gpucheck build` makes an image with one"
TORCH = Remedy(text=f"{INTO}; the page below has the command", url="https://pytorch.org/get-started/locally/")
REMEDIES = {
    "tensorflow": Remedy(
        text=INTO,
        commands={"": ("python3 -m pip install 'tensorflow[and-cuda]'",)},
        url="https://www.tensorflow.org/install/pip",
    ),
    "torch": TORCH,
    "jax": Remedy(
        text=f"{INTO}; with driver 580 or newer `jax[cuda13]` works as well",
        commands={"": ("python3 -m pip install --upgrade 'jax[cuda12]'",)},
        url="https://docs.jax.dev/en/latest/installation.html",
    ),
}


def judge(frameworks: Frameworks, compat: Compat) -> Outcome:
    told = _uses_cuda(frameworks, compat)
    if not told:
        return skip("no framework is installed, or none that says what it was built for")
    able = [name for name, can in told.items() if can]
    if able:
        return ok(f"{', '.join(able)} can use CUDA")
    remedy = next(remedy for name, remedy in REMEDIES.items() if any(label.startswith(name) for label in told))
    return bad(f"{' and '.join(told)} {'is' if len(told) == 1 else 'are'} for the CPU only", remedy=remedy)


def _uses_cuda(frameworks: Frameworks, compat: Compat) -> dict[str, bool]:
    """By name and version, for the frameworks of which anything tells it."""
    packages = {package.name: package for package in frameworks.packages}
    told = {}
    for name in ("tensorflow", "tensorflow-cpu", "torch"):
        package = packages.get(name)
        if package and (package.cpu_only is not None or compat.build_of(package)):
            told[f"{name} {package.version}"] = not package.cpu_only
    if jax := packages.get("jax"):
        plugins = [name for name in packages if name.startswith("jax-cuda")]
        jaxlib = packages.get("jaxlib")
        cuda = bool(plugins or (jaxlib and jaxlib.cuda))
        if cuda or not jaxlib or jaxlib.wheel:  # conda's jaxlib can have CUDA in it
            told[f"jax {jax.version}{'' if cuda else ' (no CUDA plugin)'}"] = cuda
    return told


RULE = Rule(
    id="frameworks.one-uses-gpu",
    title="An installed framework can use the GPU",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=TORCH,
)
