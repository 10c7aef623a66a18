from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import containers
from gpucheck.model import Failure

if TYPE_CHECKING:
    from docker import DockerClient

Left = Callable[[], list[Any]]
Start = Callable[[str], Any]

pytestmark = pytest.mark.docker


def test_files_go_in_and_evidence_comes_out(left: Left, engine: DockerClient, base: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("from outside\n")
    (tmp_path / "out").mkdir()
    said: list[str] = []
    ran = containers.run(
        base,
        ["sh", "-c", "cat /in/deep/a.txt; cd /evidence; mkdir sub; echo $WORD > sub/b; ln -s /etc/passwd c"],
        gpus=False, files_in={"/in": tmp_path / "in"}, collect={"/evidence": tmp_path / "out"},
        environment={"WORD": "from inside"}, say=lambda line, _: said.append(line), client=engine,
    )  # fmt: skip
    assert ran.exit_code == 0
    assert said == ["putting the data into the container", "from outside"]
    assert (tmp_path / "out/sub/b").read_text() == "from inside\n"
    assert not (tmp_path / "out/c").exists(), "a link out of a container is not to be trusted"
    assert ran.image_id == engine.images.get(base).id
    assert left() == []


def test_single_files_and_links_go_in(engine: DockerClient, base: str, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one\n")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "secret").write_text("not wanted\n")
    ran = containers.run(
        base, ["sh", "-c", "cd /in/data; ls; cat a b"], gpus=False, client=engine,
        files_in={"/in/data/a": tmp_path / "real", "/in/data/b": tmp_path / "link"},
    )  # fmt: skip
    assert (ran.exit_code, ran.last_lines) == (0, ("a", "b", "one", "one"))


def test_what_a_container_leaves_replaces_nothing(engine: DockerClient, base: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("ours")
    command = ["sh", "-c", "cd /evidence; mkdir a; echo theirs > a/x; echo theirs > b; echo new > c"]
    ran = containers.run(base, command, gpus=False, collect={"/evidence": tmp_path}, client=engine)
    assert ran.exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "ours", "b": "ours", "c": "new\n"}


def test_a_run_is_limited_and_has_no_network(left: Left, engine: DockerClient, base: str) -> None:
    said: list[str] = []
    networks: set[str] = set()

    def say(line: str, _share: float | None) -> None:
        said.append(line)
        networks.update(run.attrs["HostConfig"]["NetworkMode"] for run in left())

    script = (
        "ls /sys/class/net; df -k /dev/shm | tail -1; grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status; sleep 1"
    )
    containers.run(base, ["sh", "-c", script], gpus=False, say=say, client=engine)
    assert said[0] == "lo"
    assert networks == {"none"}  # an engine without a bridge gives no other interface anyway
    assert said[1].split()[1] == str(containers.SHARED_MEMORY // 1024)
    assert [row.split()[1] for row in said[2:]] == ["0" * 16, "0" * 16, "1"]


def test_the_exit_code_and_the_last_lines_come_back(engine: DockerClient, base: str) -> None:
    ran = containers.run(base, ["sh", "-c", "seq 40; printf unfinished >&2; exit 7"], gpus=False, client=engine)
    assert ran.exit_code == 7
    assert "40" in ran.last_lines
    assert len(ran.last_lines) == containers.LAST_LINES
    assert not ran.oom_killed


def test_an_unfinished_last_line_is_not_lost(engine: DockerClient, base: str) -> None:
    """Engine 20.10 loses it, more often than not, for who follows the log."""
    for _ in range(5):
        ran = containers.run(base, ["sh", "-c", "printf hello; sleep 1; exit 3"], gpus=False, client=engine)
        assert ran.last_lines == ("hello",)


def test_a_command_that_is_not_there_is_a_failure(left: Left, engine: DockerClient, base: str) -> None:
    with pytest.raises(Failure, match="no-such-command"):
        containers.run(base, ["no-such-command"], gpus=False, client=engine)
    assert left() == []


def test_an_image_that_is_not_there_suggests_the_build(engine: DockerClient) -> None:
    with pytest.raises(Failure) as failed:
        containers.run("gpucheck/there-is-none:0", ["true"], gpus=False, client=engine)
    assert "gpucheck build" in failed.value.tip


def test_a_run_that_takes_too_long_is_ended(left: Left, engine: DockerClient, base: str) -> None:
    with pytest.raises(Failure, match="within 1 s"):
        containers.run(base, ["sleep", "60"], gpus=False, timeout=1, client=engine)
    assert left() == []


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver")
def test_gpus_on_an_engine_without_any_are_a_sentence(left: Left, engine: DockerClient, base: str) -> None:
    with pytest.raises(Failure) as failed:
        containers.run(base, ["true"], gpus=True, client=engine)
    assert "GPU" in str(failed.value) or "CDI" in str(failed.value)
    assert "nvidia-ctk" in failed.value.tip
    assert left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted_leaves_no_container(left: Left, base: str, child: Start, number: int) -> None:
    process = child(f"""
        from gpucheck import cli, containers
        cli.end_on_signals()
        containers.run({base!r}, ["sh", "-c", "echo started; sleep 60"], gpus=False,
                       say=lambda line, share: print(line, flush=True))
    """)
    process.interrupt_after("started", number)
    assert left() == []
