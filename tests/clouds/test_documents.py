"""The cloud sections of README.md and docs/cloud.md, word for word, against all three emulators at one address."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from gpucheck.clouds import ENDPOINT, Asked
from gpucheck.ordering import ordered
from tests.clouds import player, rigs
from tests.clouds.proxy import proxy
from tests.pages import desk

TABLE = tomllib.loads((Path(__file__).parents[1] / "documents.toml").read_text())["cloud"]
RUNS = {"aws": "derived-tensorflow-gpu", "gcp": "derived-tensorflow-gpu", "azure": "derived-pytorch-gpu"}  # as asked


@pytest.mark.timeout(240)
def test_every_line_does_what_it_says(
    aws_emulator: Any, gcp_emulator: Any, azure_emulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    clouds = [rigs.aws(aws_emulator), rigs.gcp(gcp_emulator), rigs.azure(azure_emulator)]
    names = {
        "aws": ("root-g4dn-xlarge", "mine"),
        "gcp": ("root-g2-standard-4",),
        "azure": (ordered(Asked(provider="azure", gpu="T4", framework="pytorch", package="x")).order.name,),
    }
    for rig in clouds:
        for name in names[rig.provider]:
            rig.set_console(name, player.booted(name, player.verified(RUNS[rig.provider])) + player.host_key(name))
    folder = desk.furnished(tmp_path)
    (folder / "bin" / "ssh").write_text('#!/bin/sh\necho over ssh: "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    said = {}
    azure = dict.fromkeys(("subscriptions", "consoles"), azure_emulator.address)
    with proxy(aws_emulator.address, compute=gcp_emulator.address, **azure) as between:
        environment = {
            ENDPOINT: between.address, "GPUCHECK_PACKAGE": "gpucheck[verify] @ https://example.com/gpucheck.whl",
            "LOGNAME": "root",
        }  # fmt: skip
        for line, codes in TABLE.items():
            done = desk.typed(folder, line, environment)
            assert done.returncode in codes, f"{line}\n{done.stdout}"
            said[line] = done.stdout
            if "verify" in line:
                assert [rig.left() for rig in clouds] == [[], [], []], line
    assert [rig.left() for rig in clouds] == [[], [], []]
    assert "yes:" in said["gpucheck cloud report aws mine"]
    assert "mine" in said["gpucheck cloud list"]
    assert "nvidia-smi" in said["gpucheck cloud ssh aws mine -- nvidia-smi"]
    assert "1 gone" not in said["gpucheck cloud destroy aws mine"].partition("\n")[0]
    assert (folder / "module" / "main.tf").is_file()
    assert (folder / "task.yaml").read_text()
    assert (folder / "reports" / "verify.json").is_file()
