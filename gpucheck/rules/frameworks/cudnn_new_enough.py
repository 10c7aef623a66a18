"""A framework runs on the cuDNN that it was built with, or a newer one of that major. Another package can pull it down.

TensorFlow: "Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0", at the first convolution; the GPU
is listed all the same. Most often torch and TensorFlow share an environment.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

APART = "give each framework an environment of its own; or have this one's cuDNN fit TensorFlow"


def judge(frameworks: Frameworks, compat: Compat) -> Outcome:
    wheel = next((package for package in frameworks.packages if package.name.startswith("nvidia-cudnn-cu")), None)
    tensorflow = next((package for package in frameworks.packages if package.name == "tensorflow"), None)
    build = compat.build_of(tensorflow) if tensorflow else None
    if wheel is None or tensorflow is None:
        return skip("TensorFlow and a cuDNN wheel are not both installed")
    if build is None or build.cudnn is None:
        return skip(f"the cuDNN of tensorflow {tensorflow.version} is not in our table")
    if wheel.version < build.cudnn or wheel.version.major != build.cudnn.major:
        fitting = f"'{wheel.name}>={build.cudnn},<{build.cudnn.major + 1}'"
        return bad(
            f"tensorflow {tensorflow.version} was built with cuDNN {build.cudnn}; {wheel.name} is {wheel.version}",
            affects=(wheel.path,),
            remedy=Remedy(text=APART, commands={"": (f"python3 -m pip install {fitting}",)}),
        )
    return ok(f"{wheel.name} {wheel.version} serves tensorflow {tensorflow.version} (needs {build.cudnn})")


RULE = Rule(
    id="frameworks.cudnn-new-enough",
    title="The cuDNN wheel is new enough for TensorFlow",
    judge=judge,
    after=("pci.gpu-present",),
)
