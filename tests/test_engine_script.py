"""scripts/engine without an engine; with one it is what tests/docker runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "scripts" / "engine"


def engine(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ENGINE), *words], capture_output=True, text=True)


@pytest.mark.parametrize("do", ["status", "base"])
def test_without_an_engine_it_says_so_in_one_line(tmp_path: Path, do: str) -> None:
    ended = engine(do, "--home", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith("engine: not running")
    assert len(ended.stderr.splitlines()) == 1


def test_stopping_what_never_ran_is_no_error_and_purging_removes_the_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert engine("stop", "--home", str(home)).returncode == 0
    assert home.exists()
    assert engine("stop", "--purge", "--home", str(home)).returncode == 0
    assert not home.exists()


def test_only_the_engine_of_this_home_is_ended(tmp_path: Path) -> None:
    """Of two homes, one ends like the other: /tmp/x and /var/tmp/x."""
    words = ["dockerd", "-c", "read forever", "sh"]
    homes = [str(tmp_path), f"/var{tmp_path}"]
    forms = ["{}/data", "unix://{}/docker.sock", "--config={}/containerd.toml"]
    daemons = {
        (home, form): subprocess.Popen([*words, form.format(home)], executable="/bin/sh", stdin=subprocess.PIPE)
        for home in homes
        for form in forms
    }
    try:
        assert engine("stop", "--home", homes[0]).returncode == 0
        assert {key for key, daemon in daemons.items() if daemon.poll() is None} == {(homes[1], form) for form in forms}
    finally:
        for daemon in daemons.values():
            daemon.kill()
            daemon.communicate()


def test_an_unknown_command_is_a_usage_error() -> None:
    assert engine("begin").returncode == 2
