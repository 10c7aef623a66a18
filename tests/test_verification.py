"""The order of the steps: what is kept, what an engine elsewhere changes, what the progress says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gpucheck import codec, keeping, verification
from gpucheck.facts import Docker, Driver, Facts, Pci, Version
from gpucheck.model import Failure, Status
from gpucheck.verification import Wish

DRIVER = Driver(version=Version("570.86.15"), open_module=True, libraries=(), devices=())
HERE = Facts(known={Pci: Pci(gpus=(), nvswitches=()), Driver: DRIVER})
DOWN = Docker(
    client=Version("28.2.2"), server=None, product="docker", api=None, error="Cannot connect", context=None,
    runtimes=(), default_runtime=None,
    cdi_spec_dirs=(), cdi_devices=(), cgroup_driver=None, storage_driver=None, rootless=False,
    warnings=(),
)  # fmt: skip


def test_gpus_of_this_machine_say_nothing_about_an_engine_elsewhere() -> None:
    with pytest.raises(Failure, match="another machine"):
        verification._of_another_machine(HERE, Wish(device="gpu"))
    facts = verification._of_another_machine(HERE, Wish(device="gpu", image="tensorflow-cuda12"))
    assert Pci not in facts.known
    assert "another machine" in facts.unknown[Driver]


def test_why_it_runs_on_the_host() -> None:
    down = Facts(known={Docker: DOWN})
    assert verification._why_host(Wish(where="host"), down) == "as asked"
    assert verification._why_host(Wish(), down) == "no Docker Engine answers: Cannot connect"
    assert verification._why_host(Wish(), Facts(unknown={Docker: "no time"})) == "no Docker Engine answers: no time"
    with pytest.raises(Failure, match="Cannot connect"):
        verification._why_host(Wish(where="docker"), down)


def test_what_the_user_says_of_the_network_goes_into_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "AWS_SECRET_ACCESS_KEY", "MY_NCCL_X"):
        monkeypatch.setenv(name, "x")
    told = verification._of_the_network()
    assert {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"} <= told.keys()
    assert all(name.startswith(("NCCL_", "GLOO_")) for name in told)


def test_evidence_is_kept_of_a_run_that_failed_and_not_of_one_that_was_interrupted(tmp_path: Path) -> None:
    for error, kept in ((Failure("too slow", "", 1), True), (KeyboardInterrupt(), False)):
        keep = tmp_path / type(error).__name__
        with pytest.raises(type(error)):
            _broken_off(keep, error)
        assert (keep / "train.err").exists() is kept
        assert keep.exists() is kept


def _broken_off(keep: Path, error: BaseException) -> None:
    with keeping.folder(keep) as folder:
        (folder / "train.err").write_text("half")
        raise error


def test_the_payload_s_words_tell_the_share() -> None:
    said: list[tuple[str, float | None]] = []
    say = verification._with_share(lambda line, share: said.append((line, share)))
    say("train: epoch 2/4, step 50/100, loss 1.2", None)
    say("train: testing", None)
    assert said == [("train: epoch 2/4, step 50/100, loss 1.2", 0.375), ("train: testing", None)]


@pytest.mark.parametrize(("changes", "asked"), [
    ({}, False), ({"options": {"world": "0@a,b:29400"}}, True), ({"lock_sha256": "torn"}, True),
])  # fmt: skip
def test_a_world_that_may_have_been_asked_for_is_not_passed_over(
    tmp_path: Path, changes: dict[str, object], asked: bool
) -> None:
    kept = Path(__file__).parent / "runs" / "tensorflow-fast-cpu" / "evidence"
    shutil.copytree(kept, tmp_path / "kept")
    (tmp_path / "kept" / "host.json").write_text(json.dumps(codec.dump(Facts())))
    told = json.loads((kept / "asked.json").read_text())
    (tmp_path / "kept" / "asked.json").write_text(json.dumps({**told, **changes}))
    report = verification.rejudge(tmp_path / "kept")
    assert {finding.status for finding in report.findings if finding.rule == "world.ranks-met"} == (
        {Status.UNKNOWN} if asked else set()
    )
    assert report.exit_code == (3 if asked else 0), report.verdict
