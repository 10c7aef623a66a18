"""kernels.ptx against its closed form: run as its text says; and NVIDIA's assembler takes it, where there is one."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpucheck.probes.compute import kernels
from tests.probes.ptx import Kernel

TEXT = kernels.PTX.read_text()
BLOCKS, SIZE = 3, 4
SEED = 0xDEAD_BEEF_CAFE_BABE
ARRAY, OUT = 2**40, 2**41
FIRST, STEP = 0x9E37_79B9_7F4A_7C15, 0xFFFF_FFFF_0000_0001


def threads() -> Iterator[tuple[int, int, int, int]]:
    for block in range(BLOCKS):
        for thread in range(SIZE):
            yield BLOCKS, SIZE, block, thread


@pytest.mark.parametrize("rounds", [1, 2, 3, 64, 257])
def test_chains_end_where_the_cpu_says(rounds: int) -> None:
    memory: dict[int, int] = {}
    for thread in threads():
        Kernel(TEXT, "chains").run(thread, {"out": OUT, "seed": SEED, "rounds": rounds}, memory)
    expected = kernels.chain_ends(BLOCKS * SIZE, SEED, rounds)
    assert b"".join(struct.pack("<Q", memory[OUT + 8 * at]) for at in range(2 * BLOCKS * SIZE)) == expected
    assert len(memory) == 2 * BLOCKS * SIZE


@pytest.mark.parametrize("words", [1, 12, 100, 101])
def test_fill_and_tally(words: int) -> None:
    memory: dict[int, int] = {}
    fill, tally = Kernel(TEXT, "fill"), Kernel(TEXT, "tally")
    numbers = {"array": ARRAY, "words": words, "first": FIRST, "step": STEP}
    for thread in threads():
        fill.run(thread, numbers, memory)
    assert sorted(memory) == [ARRAY + 8 * at for at in range(words)]
    assert sum(memory.values()) % 2**64 == kernels.fill_sum(words, FIRST, STEP)

    def counted() -> tuple[int, int]:
        for thread in threads():
            tally.run(thread, {**numbers, "out": OUT}, memory)
        out = b"".join(struct.pack("<Q", memory[OUT + 8 * at]) for at in range(2 * BLOCKS * SIZE))
        return kernels.tallies(out)

    assert counted() == (0, kernels.fill_sum(words, FIRST, STEP))
    memory[ARRAY + 8 * (words - 1)] ^= 1
    assert counted()[0] == 1


def test_the_first_and_the_last_bit_of_any_step_change_the_end() -> None:
    ends = kernels.chain_ends(1, SEED, 1000)
    for bit in (0, 63):
        assert kernels.chain_ends(1, SEED ^ 1 << bit, 1000)[:8] != ends[:8]
        assert kernels.chain_ends(1, SEED ^ 1 << bit, 1000)[8:] != ends[8:]


def test_chains_of_any_length_take_no_time() -> None:
    """A matrix to the power of 2**28 that was made by halves."""
    end = kernels.chain_ends(1, SEED, 2**28)
    a, b = struct.unpack("<QQ", kernels.chain_ends(1, SEED, 2**27))
    again = [struct.unpack("<QQ", kernels.chain_ends(1, word, 2**27)) for word in (a, b)]
    assert struct.unpack("<QQ", end) == (again[0][0], again[1][1])


def test_the_second_pattern_is_the_first_with_every_bit_the_other_way() -> None:
    for i in (0, 1, 12345):
        word = (FIRST + i * STEP) & kernels.MASK
        assert ((FIRST ^ kernels.MASK) + i * (-STEP & kernels.MASK)) & kernels.MASK == word ^ kernels.MASK


@pytest.mark.parametrize("target", ["sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
def test_nvidias_assembler_takes_it(target: str, tmp_path: Path) -> None:
    """PTXAS names one, as in the wheels nvidia-cuda-nvcc-cu12 (all of these) and nvidia-cuda-nvcc (from sm_75 on)."""
    ptxas = os.environ.get("PTXAS") or shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("no ptxas here, so no assembler was given kernels.ptx")
    version = subprocess.run([ptxas, "--version"], capture_output=True, text=True, check=True).stdout
    if "release 13" in version and target in ("sm_60", "sm_70"):
        pytest.skip("this ptxas is of CUDA 13, which has dropped this GPU")
    command = [ptxas, f"-arch={target}", "--warning-as-error", "-o", str(tmp_path / "out.cubin"), str(kernels.PTX)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
