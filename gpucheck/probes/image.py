"""An image on this engine, by `docker image inspect`. Nothing is pulled, and nothing in it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from gpucheck.facts import Image, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host
from gpucheck.probes.docker import last_line

LABEL = "io.gpucheck"
KEPT = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_DISABLE_REQUIRE",
    "LD_LIBRARY_PATH", "CUDA_DRIVER_VERSION", "NV_CUDA_COMPAT_PACKAGE",
)  # fmt: skip
READ = rf"(?:{'|'.join(KEPT)}|NVIDIA_REQUIRE_\w+|(?:CUDA|CUDNN|NV_CUDNN)_VERSION|(?:TORCH_)?CUDA_ARCH_LIST)="
OUR_LABELS = rf"{re.escape(LABEL)}\.|com\.nvidia\.cudnn\.version$"
TRUE = ("1", "t", "T", "TRUE", "true", "True")  # Go's strconv.ParseBool, by which the toolkit reads it


def probe_of(name: str) -> Callable[[Host], Image]:
    """The probe of that image. It raises CannotLook where no engine has it."""

    def probe(host: Host) -> Image:
        for command in ("docker", "podman"):
            result = host.run((command, "image", "inspect", name))
            if result.code != NO_SUCH_COMMAND:
                break
        else:
            raise CannotLook("there is neither docker nor podman here to ask for the image")
        if result.code != 0:
            said = last_line(result.err) or f"exit code {result.code}"
            if re.search(r"no such image|image not known", said, re.IGNORECASE):
                raise CannotLook(f"{name} is not on this engine (`{command} pull {name}` fetches it)")
            raise CannotLook(f"{command} image inspect failed: {said}")
        return parse(name, result.out)

    return probe


def parse(name: str, text: str) -> Image:
    """Of the engine's answer: a list with one object. Docker and Podman write the same keys here."""
    try:
        (found,) = json.loads(text)
        config = found.get("Config") or {}
        environment = dict(str(pair).split("=", 1) for pair in config.get("Env") or () if "=" in str(pair))
        labels = {str(key): str(value) for key, value in (config.get("Labels") or {}).items()}
        identity, arch = str(found["Id"]), str(found["Architecture"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotLook(f"what the engine says of {name} cannot be read") from error
    return _image(name, identity, arch, environment, labels)


def kept(text: str) -> str:
    """The engine's answer with what parse() reads of it: an image's other variables may hold secrets."""
    try:
        (found,) = json.loads(text)
        config = found.get("Config") or {}
        pairs = [str(pair) for pair in config.get("Env") or ()]
        labels = {str(k): v for k, v in (config.get("Labels") or {}).items() if re.match(OUR_LABELS, str(k))}
        read = [pair for pair in pairs if re.match(READ, pair)]
        known = {key: found[key] for key in ("Id", "Architecture") if key in found}
        return json.dumps([{**known, "Config": {"Env": read, "Labels": labels}}]) + "\n"
    except (ValueError, TypeError, AttributeError):
        return "[]\n"


def _image(name: str, identity: str, arch: str, environment: Mapping[str, str], labels: Mapping[str, str]) -> Image:
    cuda = version(labels.get(f"{LABEL}.cuda")) or version(environment.get("CUDA_VERSION"))
    framework, number = _framework(labels, cuda)
    listed = environment.get("CUDA_ARCH_LIST") or environment.get("TORCH_CUDA_ARCH_LIST") or ""
    architectures, ptx = parse_architectures(listed)
    return Image(
        name=name,
        id=identity,
        arch=arch,
        cuda=cuda,
        cudnn=version(labels.get(f"{LABEL}.cudnn"))
        or version(environment.get("NV_CUDNN_VERSION") or environment.get("CUDNN_VERSION"))
        or version(labels.get("com.nvidia.cudnn.version")),
        framework=framework,
        framework_version=number,
        min_driver=version(labels.get(f"{LABEL}.min-driver")),
        requirements=requirements(environment),
        requirements_off=environment.get("NVIDIA_DISABLE_REQUIRE") in TRUE,
        architectures=architectures,
        ptx=ptx,
        environment={key: environment[key] for key in KEPT if key in environment},
    )


def version(text: object) -> Version | None:
    return Version(text) if isinstance(text, str) and re.match(r"\d{1,9}(\.|$)", text) else None


def requirements(environment: Mapping[str, str]) -> tuple[str, ...]:
    """As the toolkit collects them; an image of before them has CUDA_VERSION alone, which counts as one.

    Source: NVIDIA/nvidia-container-toolkit, internal/config/image/cuda_image.go (GetRequirements).
    """
    names = sorted(n for n in environment if n.startswith("NVIDIA_REQUIRE_") and "JETPACK" not in n)
    found = [environment[name] for name in names if environment[name].strip()]
    old = version(environment.get("CUDA_VERSION"))
    if old and not environment.get("NVIDIA_REQUIRE_CUDA"):
        found.append("cuda>={}.{}".format(*old.series))
    return tuple(found)


def parse_architectures(text: str) -> tuple[tuple[Version, ...], Version | None]:
    """ "7.5 8.0 9.0a 12.0+PTX", parted by spaces or semicolons: (those with machine code, the one with PTX)."""
    found = re.findall(r"(?<![\w.])(\d{1,2}\.\d)[a-f]?(\+PTX)?(?![\w.])", text)
    ptx = [Version(number) for number, with_ptx in found if with_ptx]
    return tuple(Version(number) for number, _ in found), max(ptx, default=None)


def _framework(labels: Mapping[str, str], cuda: Version | None) -> tuple[str | None, Version | None]:
    """Ours say it in labels. Others' variables tell of builds that are in no table of ours."""
    name, number = labels.get(f"{LABEL}.framework"), version(labels.get(f"{LABEL}.framework-version"))
    if name is None or number is None:
        return None, None
    wheel = {"pytorch": "torch", "jax": f"jax-cuda{cuda.major}-plugin" if cuda else "jax"}.get(name, name)
    return wheel, number
