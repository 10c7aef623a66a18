"""A framework runs on the cuDNN that it was built with, or a newer one of that major. Another package can pull it down.

TensorFlow: "Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0", at the first convolution; the GPU
is listed all the same. torch: "cuDNN version incompatibility". Most often the two share an environment.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Frameworks, Package, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

APART = "give each framework an environment of its own; or have this one's cuDNN fit both"


def judge(frameworks: Frameworks, compat: Compat) -> Outcome:
    built = [(package, needed) for package in frameworks.packages if (needed := _built_with(package, compat))]
    cudnns = {package.name: package for package in frameworks.packages if package.name.startswith("nvidia-cudnn-cu")}
    served = []
    for package, needed in built:
        asked = next((want.name for want in package.wants if want.name in cudnns), None)
        wheel = cudnns[asked] if asked else next(iter(cudnns.values()), None)
        if wheel is None:
            continue
        if wheel.version.major != needed.major or wheel.version < _least(package, needed):
            pin = f"'{wheel.name}>={needed},<{needed.major + 1}'"
            return bad(
                f"{package.name} {package.version} was built with cuDNN {needed}; {wheel.name} is {wheel.version}",
                affects=(wheel.path,),
                remedy=Remedy(text=APART, commands={"": (f"python3 -m pip install {pin}",)}),
            )
        served.append(f"{wheel.name} {wheel.version} serves {package.name} {package.version} (needs {needed})")
    if served:
        return ok("; ".join(served))
    known = [package for package in frameworks.packages if package.name in ("tensorflow", "torch")]
    if known and cudnns:
        return skip(f"the cuDNN of {known[0].name} {known[0].version} is not in our table")
    return skip("a framework and a cuDNN wheel are not both installed")


def _built_with(package: Package, compat: Compat) -> Version | None:
    if package.name == "tensorflow":
        build = compat.build_of(package)
        return build.cudnn if build else None
    pins = [
        want.oldest for want in package.wants if package.name == "torch" and want.name.startswith("nvidia-cudnn-cu")
    ]
    return pins[0] if pins else None


def _least(package: Package, needed: Version) -> Version:
    """torch compares major and minor, TensorFlow all of it."""
    return Version(".".join(map(str, needed.series))) if package.name == "torch" else needed


RULE = Rule(
    id="frameworks.cudnn-new-enough",
    title="The cuDNN wheel is new enough for the frameworks",
    judge=judge,
    after=("frameworks.one-uses-gpu",),
)
