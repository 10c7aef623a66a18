"""kernels.ptx in closed form: where its chains end, and the sum of what it fills, without running a step of them.

A step of either chain maps no two words to one, so that an error anywhere in a chain changes its end; and a step of
both is linear, so that any number of steps is one matrix, or one multiplication and addition.
"""

from __future__ import annotations

from array import array
from pathlib import Path

PTX = Path(__file__).with_name("kernels.ptx")
WORD = 2**64
MASK = WORD - 1
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407


def chain_ends(threads: int, seed: int, rounds: int) -> bytes:
    """What `chains` writes: two words a thread, little-endian."""
    factor, added = _affine(rounds)
    first = (factor * seed + added) & MASK
    columns = _xorshift(rounds)
    b = [_apply(columns, seed)]
    for column in columns[: (threads - 1).bit_length()]:  # seed ^ t, for t below 2, 4, 8, ...
        b += [value ^ column for value in b]
    ends = array("Q", bytes(16 * threads))
    ends[0::2] = array("Q", [(first + factor * t) & MASK for t in range(threads)])
    ends[1::2] = array("Q", b[:threads])
    return _little(ends).tobytes()


def fill_sum(words: int, first: int, step: int) -> int:
    """Of what `fill` writes."""
    return (words * first + step * (words * (words - 1) // 2)) % WORD


def tallies(out: bytes) -> tuple[int, int]:
    """What `tally` wrote: how many words differ, and the sum of all."""
    words = _little(array("Q", out))
    return sum(words[0::2]), sum(words[1::2]) % WORD


def _little(words: array[int]) -> array[int]:
    if array("H", [1]).tobytes()[0] == 0:
        words.byteswap()
    return words


def _affine(rounds: int) -> tuple[int, int]:
    """`rounds` steps of a * MULTIPLIER + INCREMENT, as one factor and one addition."""
    factor, added = 1, 0
    step = MULTIPLIER, INCREMENT
    while rounds:
        if rounds & 1:
            factor, added = factor * step[0] & MASK, (added * step[0] + step[1]) & MASK
        step = step[0] * step[0] & MASK, (step[1] * step[0] + step[1]) & MASK
        rounds >>= 1
    return factor, added


def _xorshift(rounds: int) -> list[int]:
    """`rounds` steps as a matrix over single bits: what becomes of each bit of a word."""
    power = [_step(1 << bit) for bit in range(64)]
    columns = [1 << bit for bit in range(64)]
    while rounds:
        if rounds & 1:
            columns = [_apply(power, column) for column in columns]
        power = [_apply(power, column) for column in power]
        rounds >>= 1
    return columns


def _step(word: int) -> int:
    word ^= word << 13 & MASK
    word ^= word >> 7
    return word ^ (word << 17 & MASK)


def _apply(columns: list[int], word: int) -> int:
    result = 0
    while word:
        low = word & -word
        result ^= columns[low.bit_length() - 1]
        word ^= low
    return result
