"""What the images' Dockerfile leaves in an image, and in which layers, on a real engine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import pytest

from gpucheck import building, buildkit, containers, recipes
from gpucheck.refusals import BuildFailed

if TYPE_CHECKING:
    from docker import DockerClient

Make = Callable[..., recipes.Recipe]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
# Of PyPI: wheels of 90 and 7 kB.
NVTX = "nvidia-nvtx-cu12==12.8.90 --hash=sha256:5b17e2001cc0d751a5bc2c6ec6d26ad95913324a4adb86788c944f8ce9ba441f"
INICONFIG = "iniconfig==2.3.0 --hash=sha256:f631c04d2c48c52b84d0d0549c99ff3859c98df65b3101406327ecc7d53fbf12"
NEWER_INICONFIG = "iniconfig==2.3.1 --hash=sha256:9121e2c1fdb355232495be3194c8dfe87ccc2d5dee45947b78e68f499790d7a7"
ELSEWHERE = ("dev", "proc", "sys", "run", ".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab")
OURS = ("opt/", "home/", "usr/share/gpucheck/", "etc/passwd", "etc/shadow")  # where times are ours too


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> tuple[dict[str, Path], str]:
    """A wheel in the folder, by its name as solve() takes it, and its line of a lock."""
    info = f"{name.replace('-', '_')}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n".encode()
    files = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n"}
    sums = {path: base64.urlsafe_b64encode(hashlib.sha256(content).digest()) for path, content in files.items()}
    record = "".join(f"{path},sha256={sums[path].decode().rstrip('=')},{len(files[path])}\n" for path in files)
    path = folder / f"{name.replace('-', '_')}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(member, content)
    return {path.name: path}, f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def ran(engine: DockerClient, image: str, *command: str) -> tuple[int, str]:
    lines: list[str] = []
    done = containers.run(image, command, gpus=False, client=engine, say=lambda line, _: lines.append(line))
    return done.exit_code, "\n".join(lines)


def built_anew(engine: DockerClient, recipe: recipes.Recipe, base: str, tag: str) -> str:
    """As building.solve, without the engine's cache of steps."""
    network = "bridge" if any(known.attrs["Driver"] == "bridge" for known in engine.networks.list()) else "host"
    arguments = {**recipe.arguments, "BASE": base, "DIGEST": recipe.digest}
    query = {"t": tag, "dockerfile": recipe.dockerfile, "buildargs": json.dumps(arguments), "version": "2",
             "nocache": "1", "networkmode": network}  # fmt: skip
    body = buildkit.context(recipe, {**buildkit.host_files(None, os.environ)})
    with engine.api.post(building.url(engine, "build"), params=query, data=body, stream=True,
                         headers={"Content-Type": "application/x-tar"}) as answer:  # fmt: skip
        assert answer.ok, answer.text
        return buildkit.follow(answer.iter_lines(), lambda _line, _share: None)


def tree(engine: DockerClient, image: str) -> dict[str, tuple[object, ...]]:
    """Each path of an image: its type, mode, owners, target and content; its time where the Dockerfile made it."""
    container = engine.containers.create(image, ["true"], labels={building.LABEL: "test"})
    found: dict[str, tuple[object, ...]] = {}
    try:
        with (
            engine.api.get(building.url(engine, f"containers/{container.id}/export"), stream=True) as answer,
            tarfile.open(fileobj=cast("IO[bytes]", answer.raw), mode="r|") as tar,
        ):
            for member in tar:
                if not member.name.startswith(ELSEWHERE):
                    content = tar.extractfile(member) if member.isfile() else None
                    digest = hashlib.file_digest(content, "sha256").hexdigest() if content else ""  # type: ignore[arg-type]
                    made = member.mtime if member.name.startswith(OURS) else None
                    found[member.name] = (
                        member.type, oct(member.mode), member.uid, member.gid, member.linkname, digest, made
                    )  # fmt: skip
    finally:
        container.remove()
    return found


def test_two_builds_leave_the_same_files(engine: DockerClient, base: str, small: Make) -> None:
    lock = recipes.load()["xgboost-cpu"].lock_path.read_text()
    numpy = lock[lock.index("numpy==") :].partition("#")[0]
    recipe, trees = small("xgboost-cuda12", lock=f"{NVTX}\n{INICONFIG}\n{numpy}"), []
    for number in (1, 2):
        tag = f"gpucheck/test-twice:{number}"
        try:
            trees.append(tree(engine, built_anew(engine, recipe, base, tag)))
        finally:
            engine.images.remove(tag)
    first, second = trees
    assert {"numpy/__init__.py", "nvidia/nvtx/lib/libnvToolsExt.so.1"} <= {
        path.partition("site-packages/")[2] for path in first
    }
    assert not [path for path in first if path.startswith(("tmp/", "root/.cache/pip/"))]
    differ = {path: (first.get(path), second.get(path)) for path in first.keys() | second.keys()
              if first.get(path) != second.get(path)}  # fmt: skip
    assert not differ, "two builds differ in:\n" + "\n".join(f"{path}: {a} {b}" for path, (a, b) in differ.items())


def test_a_layer_is_made_anew_only_when_its_own_wheels_change(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small("xgboost-cuda12", lock=f"# {secrets.token_hex(4)}\n{NVTX}\n{INICONFIG}\n")
    containers.build(recipe, base=base, client=engine)
    recipe.lock_path.write_text(f"# {secrets.token_hex(4)}\n{NVTX}\n{NEWER_INICONFIG}\n")
    said: list[str] = []
    image = containers.build(recipe, base=base, client=engine, say=lambda line, _: said.append(line))
    steps = [line for line in said if "pip install" in line and line.endswith((": cached", ": done"))]
    assert len(steps) == 3, said
    nvidia, _, whole = steps
    assert "nvidia.txt" in nvidia
    assert nvidia.endswith(": cached")
    assert whole.endswith(": done")
    code, told = ran(engine, image, "pip", "list", "--format=freeze", "--disable-pip-version-check")
    assert code == 0, told
    assert {"iniconfig==2.3.1", "nvidia-nvtx-cu12==12.8.90"} <= set(told.splitlines())


def test_a_driver_library_in_the_base_stops_the_build(engine: DockerClient, base: str, small: Make) -> None:
    name = "opt/cuda/lib64/stubs/libnvidia-ml.so"
    dockerfile = f"ARG BASE\nFROM ${{BASE}}\nRUN mkdir -p $(dirname /{name}) && touch /{name}\n"
    stubbed = small(dockerfile=dockerfile)
    containers.build(stubbed, base=base, client=engine)
    with pytest.raises(BuildFailed, match=f"driver libraries are the host's to bring, and the image holds: /{name}"):
        containers.build(small(), base=stubbed.image_tag, client=engine)


def test_a_driver_library_in_a_wheel_stops_the_build(
    engine: DockerClient, base: str, small: Make, tmp_path: Path
) -> None:
    wheels, lock = wheel(tmp_path, "stubs", {"stubs/lib/libcuda.so.1": b"\x7fELF"})
    with pytest.raises(BuildFailed, match=r"driver libraries .*/site-packages/stubs/lib/libcuda\.so\.1"):
        building.solve(engine, small(lock=lock), base, "gpucheck/test-stub:1", wheels=wheels, say=lambda *_: None)


def test_tensorflow_alone_has_nvidias_libraries_on_the_linkers_list(
    engine: DockerClient, base: str, small: Make, tmp_path: Path
) -> None:
    source, library = tmp_path / "answer.c", tmp_path / "libanswer.so.1"
    source.write_text("int answer(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libanswer.so.1", "-o", library, source], check=True)
    nvidia = wheel(tmp_path, "nvidia-answer", {"nvidia/answer/lib/libanswer.so.1": library.read_bytes()})
    opened = "import ctypes; print(ctypes.CDLL('libanswer.so.1').answer())"
    for framework, expected in (("tensorflow", (0, "42")), ("torch", (1, "cannot open shared object file"))):
        wheels, lock = wheel(tmp_path, framework, {f"{framework}/__init__.py": b""})
        recipe = small("tensorflow-cuda12", lock=nvidia[1] + lock)
        image = building.solve(engine, recipe, base, recipe.image_tag, wheels=nvidia[0] | wheels, say=lambda *_: None)
        code, told = ran(engine, image, "python", "-c", opened)
        assert (code, expected[1] in told) == (expected[0], True), told
        environment = engine.images.get(image).attrs["Config"]["Env"]
        assert not any(row.startswith("LD_LIBRARY_PATH") for row in environment)


def test_a_cuda_image_asks_libcuda_for_its_health(engine: DockerClient, base: str, small: Make) -> None:
    cuda = engine.images.get(containers.build(small("tensorflow-cuda12"), base=base, client=engine))
    check = cuda.attrs["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    code, told = ran(engine, str(cuda.id), *check[1:])
    assert code == 1
    assert told.startswith("no driver in this container")
    cpu = engine.images.get(containers.build(small("tensorflow-cpu"), base=base, client=engine))
    assert cpu.attrs["Config"].get("Healthcheck") is None


def test_a_notebook_starts_jupyter_and_publishes_no_port(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small("tensorflow-cuda12-notebook")
    recipe.sbom_path.write_text('{"bomFormat": "CycloneDX"}\n')
    config = engine.images.get(image := containers.build(recipe, base=base, client=engine)).attrs["Config"]
    assert config["Cmd"] == ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
    assert not config.get("ExposedPorts")
    assert config["Healthcheck"]
    assert config["Labels"]["io.gpucheck.variant"] == "notebook"
    told = ran(engine, image, "cat", "/usr/share/gpucheck/lock.txt.cdx.json", "/usr/share/gpucheck/lock.txt")
    assert told == (0, '{"bomFormat": "CycloneDX"}')
