"""A rack on the loopback, one for all tests."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleets import rack
from tests.fleets.rack import Rack

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "tests" / "machines" / "debian12-no-gpu" / "recording.json"


@pytest.fixture(scope="session")
def racked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    if not Path(rack.SSHD).exists():
        assert "CI" not in os.environ, "CI has no sshd: openssh-server"
        pytest.skip(f"no {rack.SSHD} (Debian: openssh-server), so nothing was asked by ssh")
    folder = tmp_path_factory.mktemp("rack")
    scripts = {
        "good": f"echo 'Welcome. {{\"load\": 0}}'; cat {folder}/report; echo bye",
        "asked": f"cd {ROOT}; PATH={folder}:$PATH; export PATH; eval \"$SSH_ORIGINAL_COMMAND\"",
        "asked-hung": f'PATH={folder}/slow:$PATH; eval "$SSH_ORIGINAL_COMMAND"',
        "asked-killed": f'PATH={folder}/killed:$PATH; eval "$SSH_ORIGINAL_COMMAND"',
        "bare": 'PATH=/nowhere; eval "$SSH_ORIGINAL_COMMAND"',
        "hung": f"echo $$ >> {folder}/pids; exec sleep 600",
        "mute": f"echo $$ >> {folder}/pids; exec sleep 600 >&- 2>&-",
        "full": "echo 'gpucheck: No space left on device: /tmp/x' >&2; echo 'tip: free some space' >&2; exit 3",
        "dies": "echo half; sleep 0.1; kill -9 $PPID; sleep 1",
        "signal": "kill -9 $$",
        "garbage": f"cat {folder}/noise; printf '\\n\\033[2Jit said\\n'; printf '\\033[31mred\\007\\n' >&2",
        "torn": f"head -c 900 {folder}/report",
        "newer": f"sed 's/\"schema\": 1/\"schema\": 99/' {folder}/report",
        "huge": "cat /dev/zero",
        "lines": "yes '{\"findings\": 1'",
        "loud": "yes 'and still it talks' >&2",
        "key-refused": "true", "key-changed": "true", "key-unknown": "true", "closed": "true", "goood": "true",
        "behind": f"cat {folder}/report", "stuck": "true",
    }  # fmt: skip
    (folder / "noise").write_bytes(random.Random(0).randbytes(20_000))  # noqa: S311
    programs = {
        ".": f'exec {sys.executable} -m gpucheck "$@"', "slow": f"echo $$ >> {folder}/slow/pids; exec sleep 600",
        "killed": "kill -9 $$",
    }  # fmt: skip
    for place, text in programs.items():
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "gpucheck").write_text(f"#!/bin/sh\n{text}\n")
        (folder / place / "gpucheck").chmod(0o755)
    more = {
        "closed": "Port 1", "goood": "HostName goood.invalid", "behind": "ProxyJump bare",
        "stuck": f"ProxyCommand sh -c 'sleep 600; true' {folder}/config",
    }  # fmt: skip
    started = rack.start(folder, scripts, more)
    try:
        judged = (sys.executable, "-m", "gpucheck", "doctor", "--format", "json", "--from", str(MACHINE))
        (folder / "report").write_bytes(subprocess.run(judged, capture_output=True, cwd=ROOT).stdout)
        yield started
    finally:
        started.stop()
