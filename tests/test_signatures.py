"""signatures.toml row by row, and the search for its messages in logs: long, broken, coloured, zipped, in pieces."""

from __future__ import annotations

import gzip
import io
import random
import re
import tracemalloc
from collections.abc import Iterator

import pytest

from gpucheck import answers, signatures, tables
from gpucheck.answers import PLACES, RULES, TELLS
from gpucheck.signatures import Reading
from gpucheck.tables import Signature

ROWS = signatures.load()
SAMPLES = [(row, line) for row in ROWS for line, _ in row.samples]
UNLIKE = [(row, line) for row in ROWS for line in row.unlike]
MISMATCH = b"Failed to initialize NVML: Driver/library version mismatch"
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
each_sample = pytest.mark.parametrize(
    ("row", "line"), SAMPLES, ids=[f"{row.id}-{i}" for i, (row, _) in enumerate(SAMPLES)]
)


def found(*lines: str | bytes) -> list[str]:
    """The ids of the answers, in order."""
    log = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return [answer.id for answer in answers.in_log([log])[0]]


def read(*chunks: bytes) -> Reading:
    return signatures.read(chunks, ROWS)


# --- the table ---


@each_sample
def test_a_sample_is_known_and_no_other_row_is_told_before_it(row: Signature, line: str) -> None:
    assert found(line)[:1] == [row.id]


@pytest.mark.parametrize(("row", "line"), UNLIKE, ids=[f"{row.id}-{i}" for i, (row, _) in enumerate(UNLIKE)])
def test_what_looks_alike_is_not_taken_for_it(row: Signature, line: str) -> None:
    assert row.id not in found(line)


@each_row
def test_a_row_has_samples_with_their_source_and_look_alikes(row: Signature) -> None:
    assert row.samples
    assert row.unlike
    assert all(len(sample) == 2 and "\n" not in sample[0] for sample in row.samples)
    for _, where in row.samples:
        assert re.search(r"^[\w.-]+/[\w.-]+(?:#\d+$|, \S+$)|^PyPI |quoted in|public repository", where), where


@each_row
def test_a_search_takes_time_in_proportion_to_the_line(row: Signature) -> None:
    """No open repetition, none of a group, none within another."""
    plain = re.sub(r"\\.|\[[^]]*\]", "x", row.pattern or "")
    assert not re.search(r"[*+]|\{\d*,\}|\)\{", plain)
    assert all(int(most) <= 300 for most in re.findall(r"\{\d+,(\d+)\}", plain))
    assert all(word == word.lower() and len(word) >= 5 for word in row.words)


@each_row
def test_each_word_was_seen_in_a_message(row: Signature) -> None:
    """Except the names of CUDA's errors: the test of those is below."""
    for word in row.words:
        assert word.startswith(("cuda_error_", "cudaerror")) or any(word in line.lower() for line, _ in row.samples), (
            word
        )


@each_row
def test_a_row_says_what_to_do_and_where_it_stands(row: Signature) -> None:
    assert row.tells in TELLS[:3]
    assert row.rule is None or row.rule in PLACES, "no such host rule"
    answer = answers.of_signature(row)
    assert len(answer.fix.text) > 10
    for words in (row.meaning, row.cause, answer.fix.text):
        assert words.strip() == words
        assert words[-1] != "."
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+", row.id)
    assert row.id not in RULES


def test_ids_and_codes_are_unique() -> None:
    codes = [row.code for row in ROWS if row.code is not None]
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert len(set(codes)) == len(codes)
    assert {2, 34, 35, 46, 100, 101, 209, 222, 304, 700, 719, 801, 802, 803, 804, 999} <= set(codes)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (34, "StubLibrary"), (35, "InsufficientDriver"), (46, "DevicesUnavailable"), (100, "NoDevice"),
        (209, "NoKernelImageForDevice"), (214, "ECCUncorrectable"), (218, "InvalidPtx"),
        (222, "UnsupportedPtxVersion"), (304, "OperatingSystem"), (700, "IllegalAddress"), (710, "Assert"),
        (719, "LaunchFailure"), (801, "NotSupported"), (802, "SystemNotReady"), (803, "SystemDriverMismatch"),
        (804, "CompatNotSupportedOnDevice"), (999, "Unknown"), (2, "MemoryAllocation"),
    ],
)  # fmt: skip
def test_the_name_of_a_cuda_error_is_known_as_well(code: int, name: str) -> None:
    """As cudaGetErrorName of the package nvidia-cuda-runtime-cu12 12.9.79 gives them."""
    (row,) = (row for row in ROWS if row.code == code)
    assert found(f"thrust::system_error: cudaError{name}: something")[:1] == [row.id]


def test_doctor_reads_no_signature() -> None:
    assert "signatures" not in tables.read()
    assert "signatures.toml" not in {file for file, _, _ in tables.TABLES.values()}


# --- the order of answers ---


def test_a_cause_is_told_before_a_symptom_and_both_before_the_programs_own() -> None:
    log = (
        "RuntimeError: CUDA error: device-side assert triggered",
        "RuntimeError: No CUDA GPUs are available",
        "Failed to initialize NVML: Driver/library version mismatch",
    )
    assert found(*log) == ["driver-library-mismatch", "no-cuda-device", "device-assert"]


def test_causes_are_told_as_a_person_would_look() -> None:
    log = (
        "code: ZONE_RESOURCE_POOL_EXHAUSTED",
        "AssertionError: Torch not compiled with CUDA enabled",
        "docker: Error response from daemon: unknown or invalid runtime name: nvidia",
        "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service",
    )
    assert found(*log) == ["module-key-rejected", "runtime-unknown", "cpu-only-build", "gcp-stockout"]


def test_each_is_told_once_with_its_count_and_first_line() -> None:
    reading = read(b"start\n", MISMATCH + b"\nelse\n", b"x " + MISMATCH + b" " + MISMATCH + b"\n", MISMATCH)
    assert reading.lines == 5
    assert reading.messages.keys() == {"driver-library-mismatch"}
    seen = reading.messages["driver-library-mismatch"]
    assert (seen.count, seen.line, seen.sample) == (3, 2, MISMATCH.decode())


# --- Xids ---


def test_an_xid_is_found_with_its_meaning() -> None:
    lines = (
        "[   12.345678] NVRM: Xid (PCI:0000:44:00): 79, GPU has fallen off the bus",
        "Jan  3 host kernel: NVRM: Xid (0000:03:00): 31, Ch 00000001, engmask 00000101, intr 10000000",
        "NVRM: Xid (PCI:0000:44:00): 79, pid=1, GPU has fallen off the bus",
    )
    (first, second), reading = answers.in_log(["\n".join(lines).encode()])
    assert (first.id, second.id) == ("xid-79", "xid-31")
    assert "bus" in first.meaning
    assert (first.tells, second.tells) == ("cause", "program")
    assert (reading.xids[79].count, reading.xids[79].line, reading.xids[31].line) == (2, 1, 2)


def test_an_xid_that_no_table_has_is_said_to_be_unknown() -> None:
    (answer,), _ = answers.in_log([b"NVRM: Xid (PCI:0000:44:00): 9999, new"])
    assert "not in our table" in answer.meaning
    assert answer.rule is None


@pytest.mark.parametrize(
    "line",
    [
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error",
        "transaction xid (0x79) committed",
        "dhclient: Xid (PCI: 79",
    ],
)
def test_other_numbers_are_no_xid(line: str) -> None:
    assert not read(line.encode()).xids


# --- logs as they are ---


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-11-25T10:11:12.123456789Z ",  # docker logs -t
        "trainer-1  | ",  # docker compose
        "Nov 25 10:11:12 gpu-07 dockerd[812]: ",  # journalctl
        "[pod/train-0/main] 2026-11-25T10:11:12Z stderr F ",  # kubectl logs --prefix, containerd
        "[  123.456789] ",  # dmesg
        "(EngineCore_DP0 pid=120905) ERROR 03-02 19:49:00 [multiproc_executor.py:783] ",
        "\x1b[31mERROR\x1b[0m \x1b[1m",
        "\x1b]8;;file:///x\x07log\x1b]8;;\x07 ",
        " 43%|####      | 17/39 [00:06<00:19,  1.68it/s]\r",  # a progress bar
        "\ufeff",
    ],
)
def test_what_stands_before_a_message_does_not_hide_it(prefix: str) -> None:
    for row, line in SAMPLES:
        if line[:1].isalnum():  # others have such a prefix already
            assert found(f"{prefix}{line}")[:1] == [row.id], line


def test_colours_within_a_message_and_foreign_ends_of_lines() -> None:
    log = b"one\r\nFailed to \x1b[1minitialize\x1b[0m NVML: \x1b[38;5;196mUnknown Error\x1b[0m\r\nthree\r\n"
    seen = read(log).messages["nvml-unknown-error"]
    assert (seen.line, seen.sample) == (2, "Failed to initialize NVML: Unknown Error")


def test_quotes_may_be_escaped() -> None:
    line = (
        r'{"log":"docker: Error: could not select device driver \"\" with capabilities: [[gpu]].\n","stream":"stderr"}'
    )
    assert found(line) == ["engine-without-gpu-driver"]
    assert found(r"could not select device driver \"cdi\" with capabilities: []") == ["engine-cdi-off"]
    assert found(r"desc = no runtime for \"nvidia\" is configured") == ["containerd-runtime-unknown"]


def test_a_sample_is_short_and_shows_what_was_found() -> None:
    line = b"a" * 5000 + b" " + MISMATCH + b" " + b"b" * 5000
    sample = read(line).messages["driver-library-mismatch"].sample
    assert len(sample) < 250
    assert "version mismatch" in sample


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_pieces_make_no_difference(size: int) -> None:
    log = b"\n".join(
        [b"x" * 90, MISMATCH, b"", b"NVRM: Xid (PCI:0000:44:00): 48, pid=1", b"", b"\x1b[1m" + MISMATCH, b"e"]
    )
    pieces = [log[at : at + size] for at in range(0, len(log), size)]
    assert read(*pieces) == read(log)


def test_binary_garbage_hides_nothing_and_raises_nothing() -> None:
    garbage = random.Random(7).randbytes(200_000)  # noqa: S311
    reading = read(garbage, b"\n" + MISMATCH + b"\n", b"\0" * 5000 + b"\n", b"\xff\xfe\x1b[", garbage)
    assert reading.messages["driver-library-mismatch"].count == 1
    assert reading.lines > 3


def test_nothing_at_all() -> None:
    assert read() == read(b"") == Reading()


# --- size ---


def test_a_line_of_10_mb_is_cut_and_said_to_be() -> None:
    chunks = [
        MISMATCH + b" ",
        *[b"x" * (1 << 20)] * 10,
        b" CUDA out of memory\n",
        b"Failed to initialize NVML: Unknown Error\n",
    ]
    reading = read(*chunks)
    assert (reading.lines, reading.cut) == (2, 1)
    assert reading.messages.keys() == {"driver-library-mismatch", "nvml-unknown-error"}
    assert reading.messages["nvml-unknown-error"].line == 2


def test_a_log_of_any_size_is_read_in_flat_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a log of 200 MB, smaller: 8 MB in lines and 8 MB in one, where a line may have 16 KB."""
    monkeypatch.setattr(signatures, "LONGEST", 1 << 14)
    lines = (
        b"".join(b"epoch %d loss 0.1 NVRM: Xid (PCI:0000:44:00): 31, pid=%d\n" % (i, i) for i in range(150))
        + MISMATCH
        + b"\n"
    )

    def log() -> Iterator[bytes]:
        for _ in range((8 << 20) // len(lines)):
            yield lines
        for _ in range(1024):
            yield b"y" * 8192

    signatures.read([lines], ROWS)  # what is compiled once
    tracemalloc.start()
    try:
        reading = signatures.read(log(), ROWS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    times = (8 << 20) // len(lines)
    assert reading.messages["driver-library-mismatch"].count == times
    assert reading.xids[31].count == 150 * times
    assert reading.cut == 1
    assert peak < 1 << 20


# --- how a log is opened ---


def opened(data: bytes) -> tuple[Reading, list[str]]:
    said: list[str] = []
    stream = io.BufferedReader(io.BytesIO(data))
    return signatures.read(signatures.chunks(stream, said.append), ROWS), said  # type: ignore[arg-type]


def test_a_zipped_log_and_two_in_one() -> None:
    part = gzip.compress(MISMATCH + b"\n")
    reading, said = opened(part + part)
    assert (reading.messages["driver-library-mismatch"].count, said) == (2, [])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:-9] + b"\0" * 9, lambda data: data + b"x"]
)
def test_a_damaged_zip_is_read_up_to_there_and_said_to_be(damage: object) -> None:
    data = gzip.compress(b"\n".join([MISMATCH, random.Random(7).randbytes(400_000)]))  # noqa: S311
    reading, said = opened(damage(data))  # type: ignore[operator]
    assert "driver-library-mismatch" in reading.messages
    assert len(said) == 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_what_powershell_writes(encoding: str) -> None:
    reading, _ = opened(f"\ufeffeins\r\n{MISMATCH.decode()}\r\n".encode(encoding))
    assert reading.messages["driver-library-mismatch"].line == 2
