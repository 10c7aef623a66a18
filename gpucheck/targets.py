"""The same set-up for a launcher that a team has already: user-data, an OpenTofu module, a SkyPilot task.

They are written for others to run: gpucheck starts none of these launchers and needs none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from gpucheck.model import Failure

TEMPLATES = Path(__file__).parent / "data" / "targets"
USER_DATA = "user-data.yaml"
AS_IT_IS = ("README.md", "main.tf", "outputs.tf")  # of a module; what differs is in variables.tf alone
IMAGES = {  # how each cloud looks an image up, and its parts
    "aws": (re.compile(r"/.+"), "the path of an SSM parameter"),
    "gcp": (re.compile(r"projects/([^/]+)/global/images/family/([^/]+)"), "projects/P/global/images/family/F"),
    "azure": (re.compile(r"([^:]+):([^:]+):([^:]+):([^:]+)"), "publisher:offer:sku:version"),
}
PARTS = {"gcp": ("project", "family"), "azure": ("publisher", "offer", "sku", "version")}
HYPERDISK = ("a3-ultragpu-", "a4-", "a4x-", "g4-")  # machine types of Google's that take no other disk
IDLE_MINUTES = 5  # for SkyPilot's autostop, once the job is done

Value = str | int | bool | Mapping[str, str] | Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One instance to be launched by others."""

    provider: str
    name: str
    owner: str
    instance_type: str
    gpu: tuple[str, int] | None  # to be attached (GCP n1): ("nvidia-tesla-t4", 1)
    region: str
    image: str  # as in data/rentals.toml
    disk_gib: int
    user_data: str
    framework: str
    package: str  # what pip is asked for
    spot: bool
    minutes: int


def files(format: str, target: Target) -> dict[str, str]:
    """The text of each file by its path. Raises Failure for an image that its cloud could not look up."""
    return FORMATS[format](target)


def _user_data(target: Target) -> dict[str, str]:
    return {USER_DATA: target.user_data}


def _terraform(target: Target) -> dict[str, str]:
    """The user-data is a file that the module reads: nothing in it is HCL's to interpolate."""
    folder = TEMPLATES / target.provider
    values: dict[str, Value] = {
        "name": target.name, "owner": target.owner, "instance_type": target.instance_type, "region": target.region,
        "image": _image(target), "disk_gib": target.disk_gib, "spot": target.spot, "minutes": target.minutes,
        "accelerators": dict([target.gpu]) if target.gpu else {},
        "disk_type": "hyperdisk-balanced" if target.instance_type.startswith(HYPERDISK) else "pd-balanced",
    }  # fmt: skip
    filled = Template((folder / "variables.tf").read_text()).substitute(
        {key: hcl(each) for key, each in values.items()}
    )
    return {
        **{name: (folder / name).read_text() for name in AS_IT_IS},
        "variables.tf": filled,
        USER_DATA: target.user_data,
    }


def _skypilot(target: Target) -> dict[str, str]:
    """SkyPilot makes its own user-data and takes an image of its own with a driver: it finds ours on Azure alone."""
    resources: dict[str, object] = {
        "infra": f"{target.provider}/{target.region}",
        "instance_type": target.instance_type,
        "disk_size": target.disk_gib,
        "use_spot": target.spot,
        "autostop": {"idle_minutes": IDLE_MINUTES, "down": True},
    }
    if target.gpu:
        accelerator, count = target.gpu
        resources["accelerators"] = {re.sub("^nvidia-(tesla-)?", "", accelerator).upper(): count}
    if target.provider == "azure":
        _image(target)
        resources["image_id"] = target.image
    words = {"package": shlex.quote(target.package), "framework": shlex.quote(target.framework)}
    scripts = {
        step: Template((TEMPLATES / "skypilot" / f"{step}.sh").read_text()).substitute(words, minutes=target.minutes)
        for step in ("setup", "run")
    }
    about = (TEMPLATES / "skypilot" / "about.txt").read_text()
    return {"task.yaml": about + _yaml({"name": target.name, "resources": resources, **scripts})}


def _image(target: Target) -> Value:
    pattern, form = IMAGES[target.provider]
    found = pattern.fullmatch(target.image)
    if not found:
        raise Failure(f"{target.image!r} is not how {target.provider} looks an image up", form)
    return dict(zip(PARTS[target.provider], found.groups(), strict=True)) if found.groups() else target.image


def hcl(value: Value) -> str:
    """A literal of HCL, in which nothing is interpolated."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{hcl(key)} = {hcl(each)}' for key, each in value.items())} }}" if value else "{}"
    return '"' + re.sub(r'["\\]|[$%](?=\{)|[\x00-\x1f\x7f-\x9f\u2028\u2029]', _escaped, value) + '"'


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found[0] in '"\\' else f"\\u{ord(found[0]):04x}"


def _yaml(document: Mapping[str, object]) -> str:
    """Scripts as blocks, as a person would write them."""
    import yaml

    class Blocks(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Blocks.add_representer(str, text)
    return yaml.dump(dict(document), Dumper=Blocks, sort_keys=False, allow_unicode=True, width=110)


FORMATS: dict[str, Callable[[Target], dict[str, str]]] = {
    "user-data": _user_data,
    "terraform": _terraform,
    "skypilot": _skypilot,
}
