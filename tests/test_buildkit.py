"""Builds as a real engine reported them: tests/builds/*.jsonl, recorded from Docker Engine 20.10.24."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from gpucheck import buildkit, recipes, wire
from gpucheck.model import Failure
from gpucheck.refusals import BuildFailed

BUILDS = Path(__file__).parent / "builds"
CPU = recipes.load()["tensorflow-cpu"]


def follow(name: str) -> tuple[str, list[str]]:
    said: list[str] = []
    image = buildkit.follow((BUILDS / f"{name}.jsonl").read_bytes().splitlines(), lambda line, _: said.append(line))
    return image, said


@pytest.mark.parametrize("name", ["buildkit-good", "classic-good"])
def test_a_good_build_gives_its_image_and_what_its_steps_said(name: str) -> None:
    image, said = follow(name)
    assert image.startswith("sha256:")
    assert len(image) == 71
    assert any("RUN echo one && echo two" in line for line in said)
    if name == "buildkit-good":
        assert {"one", "two", "three"} <= set(said)
    assert not any("--mount" in line or "[internal]" in line for line in said)


def test_cached_steps_are_said_to_be() -> None:
    said = follow("buildkit-cached")[1]
    assert sum(line.endswith(": cached") for line in said) == 2


@pytest.mark.parametrize("name", ["buildkit-failed", "classic-failed"])
def test_a_failed_build_names_the_step_and_its_last_lines(name: str) -> None:
    with pytest.raises(BuildFailed) as failed:
        follow(name)
    assert failed.value.step.endswith("RUN echo two && echo 'no such thing' >&2 && exit 3")
    assert failed.value.last_lines == ("no such thing", "two")
    assert str(failed.value).endswith("\n    two")


def test_every_torn_trace_is_a_failure_and_never_another_exception() -> None:
    whole = (BUILDS / "buildkit-good.jsonl").read_bytes()
    for size in range(0, len(whole) - 200, 37):
        with pytest.raises(Failure):
            buildkit.follow(whole[:size].splitlines(), lambda *_: None)


def test_varints_and_every_wire_type_are_read() -> None:
    message = b"\x08\x96\x01\x12\x02hi\x19" + b"\1" * 8 + b"\x25" + b"\2" * 4
    assert list(wire.fields(message)) == [(1, 150), (2, b"hi"), (3, b"\1" * 8), (4, b"\2" * 4)]
    with pytest.raises(ValueError, match="torn"):
        list(wire.fields(b"\x12\x05hi"))
    with pytest.raises(ValueError, match="wire type 3"):
        list(wire.fields(b"\x0b"))


def test_the_context_is_the_same_bytes_and_holds_only_what_is_needed() -> None:
    host = buildkit.host_files(None, {})
    context = b"".join(buildkit.context(CPU, host))
    assert context == b"".join(buildkit.context(CPU, host))
    with tarfile.open(fileobj=io.BytesIO(context)) as tar:
        assert tar.getnames() == ["host", "host/pip.conf", *CPU.files]
        assert all(member.mtime == 0 and member.uid == 0 for member in tar)


@pytest.mark.parametrize("size", [0, 1, 512, buildkit.CHUNK + 1])
def test_a_file_of_a_context_is_read_while_it_is_sent(tmp_path: Path, size: int) -> None:
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(b"x" * size)
    name = f"host/wheels/{'a' * 120}.whl"  # longer than a plain tar's names
    context = buildkit.context(CPU, {name: wheel})
    parts = list(context)
    assert sum(map(len, parts)) == len(context)
    assert max(map(len, parts)) <= max(buildkit.CHUNK, CPU.lock_path.stat().st_size)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        content = tar.extractfile(name)
        assert content is not None
        assert content.read() == b"x" * size


def test_a_file_that_changes_while_it_is_sent_is_a_failure(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(b"x" * 3)
    parts = iter(buildkit.context(CPU, {"a.whl": wheel}))
    for part in parts:
        if b"a.whl" in part:
            break
    wheel.write_bytes(b"x" * 4)
    with pytest.raises(Failure, match=r"a\.whl changed"):
        list(parts)


def test_pip_naming_its_packages_moves_the_share() -> None:
    step = buildkit.Step("pip install")
    for line in ("Collecting a", "Processing /run/host/wheels/b.whl", "  Downloading a.whl (2 MB)"):
        step.take(line)
    assert buildkit._share({"1": step, "2": buildkit.Step("next")}, 2) == 0.25
    assert buildkit._share({"1": buildkit.Step("next", done=True)}, 0) == 1


def test_the_classic_builder_gets_no_mounts() -> None:
    def dockerfile(host: dict[str, bytes]) -> str:
        with tarfile.open(fileobj=io.BytesIO(b"".join(buildkit.context(CPU, host, classic=True)))) as tar:
            content = tar.extractfile(CPU.dockerfile)
            assert content is not None
            return content.read().decode()

    assert "RUN --mount" not in dockerfile({})
    assert "COPY host" not in dockerfile({})
    assert dockerfile({"host/ca.crt": b"x"}).count("COPY host /run/host") == 1


def test_the_bundle_of_the_usual_variables_and_pips_settings_come_along(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("pem")
    gone = {
        "SSL_CERT_FILE": str(tmp_path / "gone"),
        "REQUESTS_CA_BUNDLE": str(bundle),
        "PIP_INDEX_URL": "https://a/b%40",
    }
    files = buildkit.host_files(None, gone)
    assert files["host/ca.crt"] == b"pem"
    assert files["host/pip.conf"] == b"[global]\ncert = /run/host/ca.crt\nindex-url = https://a/b%40\n"


def test_offline_pip_is_told_of_no_index(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("pem")
    files = buildkit.host_files(bundle, {"PIP_INDEX_URL": "https://a/b", "PIP_TIMEOUT": "3"}, offline=True)
    assert files["host/ca.crt"] == b"pem"  # it may be asked for in the image
    told = files["host/pip.conf"].decode()
    assert told == "[global]\ncert = /run/host/ca.crt\nfind-links = /run/host/wheels\nno-index = true\n"


def test_a_bundle_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no CA bundle"):
        buildkit.host_files(tmp_path / "gone", {})
