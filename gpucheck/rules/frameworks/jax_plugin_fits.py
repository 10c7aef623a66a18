"""JAX reaches CUDA through a plugin, jax-cuda12-plugin or jax-cuda13-plugin, of exactly jaxlib's version.

Another one gives "JAX plugin jax_cuda12_plugin version 0.7.2 is installed, but it is not compatible with the installed
jaxlib version 0.8.0, so it will not be used", and JAX runs on the CPU. It comes of upgrading jax without its extra.
"""

import re

from gpucheck.facts import Frameworks, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    jaxlib = next((package for package in frameworks.packages if package.name == "jaxlib"), None)
    plugins = [package for package in frameworks.packages if re.fullmatch(r"jax-cuda\d+-plugin", package.name)]
    if jaxlib is None or not plugins:
        return skip("jaxlib and a CUDA plugin of JAX are not both installed")
    fitting = [plugin for plugin in plugins if _numbers(plugin.version) == _numbers(jaxlib.version)]
    if fitting:
        return ok(f"{fitting[0].name} {fitting[0].version} is of jaxlib's version")
    extra = plugins[0].name.removeprefix("jax-").removesuffix("-plugin")
    return bad(
        f"{plugins[0].name} is {plugins[0].version}, jaxlib is {jaxlib.version}: they must be the same",
        affects=(jaxlib.path,),
        remedy=Remedy(
            text="upgrade JAX together with its plugin",
            commands={"": (f"python3 -m pip install --upgrade 'jax[{extra}]'",)},
            verify="gpucheck doctor --only frameworks",
            url="https://docs.jax.dev/en/latest/installation.html",
        ),
    )


def _numbers(version: Version) -> str:
    """0.7.2 of 0.7.2.dev1 and 0.7.2+cuda12: what JAX compares."""
    match = re.match(r"\d+(?:\.\d+)*", version.text)
    return match[0] if match else version.text


RULE = Rule(
    id="frameworks.jax-plugin-fits",
    title="JAX's CUDA plugin is of jaxlib's version",
    judge=judge,
    after=("frameworks.one-uses-gpu",),
)
