"""Reports over a serial console: the exact bytes or none, whatever happens to the lines between."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from random import Random

import pytest

from gpucheck import consoles
from gpucheck.consoles import DATA, MARK, Console, read, signed

RUN = "anna-g5"
KERNEL = "[   12.345678] nvidia 0000:00:1e.0: enabling device (0000 -> 0002)"


def chances(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - the same each time


def report(chance: Random, size: int) -> bytes:
    return bytes(chance.choices(b'{"known": abcdefghij0123456789}\n', k=size))


def printed(*reports: tuple[str, bytes], end: bool = True, run: str = RUN) -> list[str]:
    lines = [line for name, data in reports for line in consoles.lines(run, name, data)]
    names = " ".join(name for name, _ in reports)
    return lines + [signed(f"{MARK} {run} {text}") for text in (f"reports {names}", "done doctor=0 verify=1") if end]


@pytest.mark.parametrize("size", [0, 1, 300, 50_000])
def test_what_was_printed_is_read(size: int) -> None:
    data = report(chances(size), size)
    lines = printed(("doctor", data))
    assert all(len(line) <= DATA + 120 for line in lines)
    console = read("\r\n".join(lines), RUN)
    assert console.reports == {"doctor": data}
    assert console.whole
    assert console.done == {"doctor": 0, "verify": 1}


@pytest.mark.parametrize("seed", range(40))
def test_the_exact_bytes_or_none(seed: int) -> None:
    """Lines lost, doubled, cut, mixed with the kernel's and with one another, and single characters that change."""
    chance = chances(seed)
    reports = {name: report(chance, chance.randrange(20_000)) for name in ("doctor", "verify")}
    lines = printed(*reports.items(), end=False) * chance.choice((1, 2))
    for _ in range(chance.randrange(12)):
        at = chance.randrange(len(lines))
        line, where = lines[at], chance.randrange(len(lines[at]) + 1)
        match chance.randrange(7):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(chance.randrange(len(lines)), line)
            case 2:
                lines[at] = line[:where] + KERNEL + line[where:]
            case 3:
                lines[at] = line[:where] + "\n" + KERNEL + "\n" + line[where:]
            case 4:
                lines[at] = line[:where] + chance.choice("AZ09+/= \x1b\x00é") + line[where + 1 :]
            case 5:
                lines[at] = KERNEL[:where] + line
            case 6:
                lines[at] = line[:where] + lines[chance.randrange(len(lines))]
    text = "\n".join(lines)[chance.choice((0, 0, 700)) :]
    console = read(text, RUN)
    for name, data in reports.items():
        assert console.reports.get(name, data) == data
        assert (name in console.reports) != (name in console.torn) or name not in text
    whole = read(text + "\n" + "\n".join(printed(*reports.items())), RUN)  # what is printed again fills the holes
    assert whole.reports == reports
    assert whole.whole


def test_a_loss_is_told() -> None:
    lines = printed(("doctor", report(chances(1), 9000)), ("verify", b"{}"))
    console = read("\n".join(lines[:2] + lines[3:]), RUN)
    assert console.reports == {"verify": b"{}"}
    assert console.torn == ("doctor",)
    assert console.done
    assert not console.whole
    assert read("\n".join(lines[-2:]), RUN).torn == ("doctor", "verify")  # none of their lines is left


def test_parts_that_differ_tear_the_report() -> None:
    first, second = (base64.b64encode(zlib.compress(data)).decode() for data in (b"one thing", b"another thing"))
    ident = hashlib.sha256(b"one thing").hexdigest()[:16]
    lines = [signed(f"{MARK} {RUN} report doctor {ident} 1/1 {data}") for data in (first, second)]
    assert read(lines[0], RUN).reports == {"doctor": b"one thing"}
    assert read(lines[1], RUN).torn == ("doctor",)
    assert read("\n".join(lines), RUN).torn == ("doctor",)


def test_the_report_that_was_printed_last_counts() -> None:
    old, new = printed(("doctor", b"old" * 500), end=False), printed(("doctor", b"new" * 500), end=False)
    assert read("\n".join(old + new), RUN).reports == {"doctor": b"new" * 500}


def test_lines_of_another_run_are_none_of_ours() -> None:
    text = "\n".join(printed(("doctor", b"{}"), run="anna-g5-2") + printed(("doctor", b"{}"), run="bob"))
    assert read(text, RUN) == Console(
        reports={}, torn=(), steps=(), failed=None, done=None, host_keys=(), notes=(), rest=()
    )


def test_the_course_of_a_boot() -> None:
    said = ["boot 1", "step docker", "failed docker: E: no \x1b[31mroute", "note x", "done doctor=1"]
    console = read("\n".join(signed(f"{MARK} {RUN} {text}") for text in said), RUN)
    assert (console.step, console.failed, console.done) == ("docker", None, {"doctor": 1})  # a sum that fits no more
    said[2] = "failed docker: E: no route"
    told = [signed(f"{MARK} {RUN} {text}") for text in said]
    console = read("\n".join(told * 2), RUN)
    assert (console.failed, console.notes, console.steps) == ("docker: E: no route", ("x",), ("docker",))
    again = read("\n".join([*told, signed(f"{MARK} {RUN} boot 2"), signed(f"{MARK} {RUN} step docker")]), RUN)
    assert (again.failed, again.done, again.step) == (None, None, "docker")


def test_a_line_that_is_cut_says_nothing() -> None:
    line = signed(f"{MARK} {RUN} done doctor=0 build=0 verify=1")
    assert all(read(line[:cut], RUN).done is None for cut in range(len(line)))
    assert read(f"{KERNEL}{line}  ", RUN).done == {"doctor": 0, "build": 0, "verify": 1}


def test_a_host_key_fits_its_fingerprint() -> None:
    blob = base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519" + bytes(36)).decode()
    print_ = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
    line = signed(f"{MARK} {RUN} host-key ssh-ed25519 {blob} SHA256:{print_}")
    assert read(line, RUN).host_keys == (f"ssh-ed25519 {blob}",)
    other = blob[:-4] + "AAAB"
    assert read(signed(f"{MARK} {RUN} host-key ssh-ed25519 {other} SHA256:{print_}"), RUN).host_keys == ()


def test_the_rest_cannot_write_to_a_terminal() -> None:
    rest = read(
        "\x1b[31mKernel panic\x1b[0m\x07\x9b5n\u202eevil\n\x1b]0;title\x07Oops\x00\tthere\r\n" + "x" * 9999, RUN
    ).rest
    assert rest[:2] == ("Kernel panic5nevil", "Oops there")
    assert len(rest[2]) == consoles.LONGEST


def test_what_is_huge_stays_small() -> None:
    """A report that would fill the memory, and consoles that are as long as they like."""
    bomb = zlib.compress(bytes(300_000_000), 9)[: consoles.PARTS * DATA * 3 // 4]
    ident, data = "0" * 16, base64.b64encode(bomb).decode()
    parts = [data[at : at + DATA] for at in range(0, len(data), DATA)]
    text = "\n".join(
        signed(f"{MARK} {RUN} report doctor {ident} {number}/{len(parts)} {part}")
        for number, part in enumerate(parts, start=1)
    )
    tracemalloc.start()
    try:
        assert read(text, RUN).torn == ("doctor",)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    crowd = "\n".join(signed(f"{MARK} {RUN} report n{at} {ident} 1/2 AA") for at in range(1000))
    assert len(read(crowd, RUN).torn) == consoles.NAMES
    notes = "\n".join(signed(f"{MARK} {RUN} note {at}") for at in range(1000))
    assert len(read(notes, RUN).notes) == consoles.REST


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_report(seed: int) -> None:
    chance = chances(seed)
    noise = "".join(chance.choices(f"{MARK} \n\r\x1b[]m;{RUN} report doctor 1/1 done=+", k=20_000))
    assert not read(noise, RUN).reports
    assert not read("\x1b[" * 100_000 + "\x1b]" * 100_000 + f"{MARK} {RUN} " * 50_000, RUN).reports


def test_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "doctor.json").write_bytes(b'{"a": 1}')
    command = [sys.executable, "-m", "gpucheck.consoles", RUN, str(tmp_path / "doctor.json")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert read(said, RUN).reports == {"doctor": b'{"a": 1}'}
