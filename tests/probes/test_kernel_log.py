"""The kernel log: both doors, both forms of Xid lines, messages of several lines, and what is kept for a bundle.

The driver's formats are from kernel_rc.c and osinit.c of NVIDIA/open-gpu-kernel-modules, that of a GPU off the bus
without an Xid from the tests of NVIDIA/NVSentinel; SXids from NVIDIA's fabric manager user guide; dmesg's from
util-linux sys-utils/dmesg.c; the samples from the issues that are named beside them.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gpucheck.facts import KernelLog, LogEvent
from gpucheck.host import CannotLook, Result
from gpucheck.probes import kernel_lines, kernel_log
from gpucheck.probes.kernel_log import BOOT_ID, DMESG, JOURNAL, UPTIME
from tests.conftest import Machine

REFUSED = Result(code=1, out="", err="dmesg: read kernel buffer failed: Operation not permitted\n")
FILES = {UPTIME: "100000.50 400000.00\n", BOOT_ID: "0f4c6f5e-2d63-4c8f-9f0b-7f1c7e0a9d11\n"}
FIRST = "[    0.000000] Linux version 6.8.0-60-generic (buildd@host) #63-Ubuntu SMP\n"


def done(out: str) -> Result:
    return Result(code=0, out=out, err="")


def parse(text: str) -> KernelLog:
    return kernel_log.parse(text, source="dmesg", uptime_s=100000.5, boot_id=None)


def told(text: str) -> KernelLog | None:
    return parse(text) if kernel_log.is_log(text) else None


def only(text: str) -> LogEvent:
    (event,) = parse(text).events
    return event


# --- the doors ---


def test_dmesg_is_enough_where_it_has_all_of_the_boot() -> None:
    machine = Machine(FILES, {DMESG: done(FIRST)})
    log = kernel_log.probe(machine)
    assert (log.source, log.starts_s, log.uptime_s, log.events) == ("dmesg", 0.0, 100000.5, ())
    assert log.boot_id == "0f4c6f5e-2d63-4c8f-9f0b-7f1c7e0a9d11"
    assert machine.asked == [DMESG]


@pytest.mark.parametrize(
    "dmesg",
    [
        REFUSED,
        Result(code=1, out="", err="dmesg: klogctl: Operation not permitted\n"),  # busybox
        Result(code=127, out="", err="no such command"),
        done(""),  # after `dmesg --clear`
        CannotLook("dmesg did not answer within 5 s"),
    ],
)
def test_the_journal_where_dmesg_shows_nothing(dmesg: Result | CannotLook) -> None:
    journal = (
        "[    0.000000] kernel: Linux version 6.8.0\n[   77.1] kernel: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen\n"
    )
    log = kernel_log.probe(Machine(FILES, {DMESG: dmesg, JOURNAL: done(journal)}))
    assert (log.source, log.starts_s) == ("journalctl", 0.0)
    assert [(event.code, event.last_s) for event in log.events] == [(79, 77.1)]


def test_the_journal_where_the_ring_buffer_has_forgotten_the_start() -> None:
    wrapped = done("[90000.100000] docker0: port 1(veth0) entered blocking state\n")
    assert kernel_log.probe(Machine(FILES, {DMESG: wrapped, JOURNAL: done(FIRST)})).source == "journalctl"
    alone = kernel_log.probe(Machine(FILES, {DMESG: wrapped, JOURNAL: done("")}))
    assert (alone.source, alone.starts_s) == ("dmesg", 90000.1)


def test_who_may_read_it_is_said_where_nobody_lets_this_user() -> None:
    with pytest.raises(CannotLook, match=r"Operation not permitted; journalctl shows this user no line.* adm or"):
        kernel_log.probe(Machine(FILES, {DMESG: REFUSED, JOURNAL: done("")}))
    with pytest.raises(CannotLook, match=r"there is no dmesg command; there is no journalctl command$"):
        kernel_log.probe(Machine())


@pytest.mark.parametrize("uptime", ["", "soon", "\0\0", "9" * 4000])
def test_an_uptime_that_is_none(uptime: str) -> None:
    log = kernel_log.probe(Machine({UPTIME: uptime}, {DMESG: done(FIRST + "[    5.0] NVRM: loading NVIDIA UNIX\n")}))
    assert log.boot_id is None
    assert log.events[0].age_s is None or log.events[0].age_s > 0


BINARY = "".join(f"\ufffd\ufffd\0{n}\x7f\ufffd\n" for n in range(50))


@pytest.mark.parametrize("garbage", [BINARY, FIRST + BINARY, "PCIe: no\n"])
def test_garbage_is_no_log(garbage: str) -> None:
    """And its silence no sign of health."""
    with pytest.raises(CannotLook, match="dmesg shows this user no line of the kernel's"):
        kernel_log.probe(Machine(FILES, {DMESG: done(garbage), JOURNAL: done(BINARY)}))
    assert kernel_log.probe(Machine(FILES, {DMESG: done(garbage), JOURNAL: done(FIRST)})).source == "journalctl"
    assert kernel_log.kept(garbage) == ""


def test_an_event_in_a_log_without_times_counts() -> None:
    log = kernel_log.probe(Machine(FILES, {DMESG: done("a\nb\nc\nNVRM: Xid (PCI:0000:2b:00): 79, x\n")}))
    assert (log.starts_s, [event.code for event in log.events]) == (None, [79])


# --- Xids ---


@pytest.mark.parametrize(
    ("line", "gpu", "code", "text"),
    [
        # NVIDIA/open-gpu-kernel-modules issue 1151
        (
            "NVRM: Xid (PCI:0000:2b:00): 79, GPU has fallen off the bus.",
            "0000:2b:00.0", 79, "GPU has fallen off the bus.",
        ),
        # facebookresearch/gcm
        (
            "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
            "0000:4e:00.0", 79, "GPU has fallen off the bus.",
        ),
        # docs.nvidia.com/deploy/xid-errors, of driver 384
        ("NVRM: Xid (0000:03:00): 14, Channel 00000001", "0000:03:00.0", 14, "Channel 00000001"),
        # kernel_rc.c: of a MIG device
        (
            "NVRM: Xid (PCI:000F:01:00 GPU-I:05 GPU-CI:00): 43, pid=1, name=python3, Ch 00000010",
            "000f:01:00.0", 43, "Ch 00000010",
        ),
        ("NVRM: Xid (PCI:0000:01:00): 45, pid=1896, name=my prog", "0000:01:00.0", 45, ""),
        # NVIDIA/TensorRT-LLM issue 4816
        ("NVRM: Xid (PCI:0000:5f:00): 145, RLW_REMAP Nonfatal XC0 i0 Link 02", "0000:5f:00.0", 145,
         "RLW_REMAP Nonfatal XC0 i0 Link 02"),
    ],
)  # fmt: skip
def test_xid_lines(line: str, gpu: str, code: int, text: str) -> None:
    event = only(f"[   12.500000] {line}\n")
    assert (event.kind, event.gpu, event.code, event.text) == ("xid", gpu, code, text)
    assert (event.count, event.first_s, event.last_s, event.age_s) == (1, 12.5, 12.5, 99988.0)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: Xid (PCI:0000:01:00): see the manual",
        "python3: Xid 79 is bad",
        "NVRM: GPU at PCI:0000:52:00: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7",
        # its two lines of data, fabric manager user guide
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Severity 0 Engine instance 46 Sub-engine instance 00",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Data {0x00140004, 0x00100000, 0x00140004}",
        "pcieport 0000:00:01.0: PCIe Bus Error: severity=Correctable, type=Data Link Layer, (Receiver ID)",
        "nvme 0000:34:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Data Link Layer, (Receiver ID)",
        "NVRM: API mismatch: the client 'python3' (pid 12) has the version 570.133.07, but",
    ],
)
def test_lines_that_are_no_event(line: str) -> None:
    assert parse(f"[   12.500000] {line}\n").events == ()


def test_an_sxid_says_how_bad_it_is() -> None:
    event = only(
        "[1.0] nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Non-fatal, Link 46 MC TS crumbstore MCTO (First)\n"
    )
    assert (event.kind, event.gpu, event.code) == ("sxid", "0000:c1:00.0", 28006)
    assert event.text.startswith("Non-fatal, Link 46")


def test_equal_events_are_counted_and_a_fatal_one_is_not_lost_among_them() -> None:
    line = "[{}.5] NVRM: Xid (PCI:0000:04:00): 145, RLW_REMAP {} XC0 i0 Link 00 (0x00000004)\n"
    log = parse(line.format(5, "Nonfatal") + line.format(6, "Fatal") + line.format(7, "Nonfatal"))
    assert [(e.text.split()[1], e.count, e.first_s, e.last_s) for e in log.events] == [
        ("Nonfatal", 2, 5.5, 7.5),
        ("Fatal", 1, 6.5, 6.5),
    ]


def test_what_is_later_than_now_is_of_another_boot() -> None:
    assert parse("[200000.0] NVRM: Xid (PCI:0000:04:00): 79, GPU has fallen off the bus.\n").events == ()


# --- other messages ---


@pytest.mark.parametrize(
    ("text", "kind", "gpu"),
    [
        ("NVRM: GPU 0000:2b:00.0: GPU has fallen off the bus.", "off_the_bus", "0000:2b:00.0"),
        ("NVRM: GPU at 0000:01:00.0 has fallen off the bus.", "off_the_bus", "0000:01:00.0"),
        ("NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x22:0x56:884)", "init_failed", "0000:01:00.0"),
        ("NVRM: RmInitAdapter failed! (0x26:0xffff:1375)", "init_failed", None),  # Bumblebee issue 722
        ("NVRM: GPU0 RmInitAdapter: Cannot initialize GSP firmware RM", "gsp", None),
        ("NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP", "gsp", None),
        ("NVRM: GPU 0000:09:00.0: GPU does not have the necessary power cables connected.", "power", "0000:09:00.0"),
        ("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  590.48.01  Release Build", "loaded", None),
        ("nvidia 0000:01:00.0: PCIe Bus Error: severity=Correctable, type=Physical Layer", "aer", "0000:01:00.0"),
    ],
)
def test_messages_of_one_line(text: str, kind: str, gpu: str | None) -> None:
    event = only(f"[    5.559842] {text}\n")
    assert (event.kind, event.gpu, event.code) == (kind, gpu, None)


# dmesg of util-linux indents what follows, that of busybox and old kernels gives every line its time.
@pytest.mark.parametrize("start", ["               ", "[    5.559843] "])
@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("fallen off the bus and is not responding to commands.", "off_the_bus"),
        ("installed in this system requires use of the NVIDIA open kernel modules.", "open_module"),
    ],
)
def test_messages_of_several_lines(start: str, last: str, kind: str) -> None:
    text = (
        f"[    5.559842] NVRM: The NVIDIA GPU 0000:02:00.0\n{start}NVRM: (PCI ID: 10de:2c58) and\n{start}NVRM: {last}\n"
    )
    event = only(text)
    assert (event.kind, event.gpu) == (kind, "0000:02:00.0")


def test_the_end_of_a_message_without_its_start_names_no_gpu() -> None:
    assert parse("[5.5] NVRM: installed in this system requires use of the NVIDIA open kernel modules.\n").events == ()


@pytest.mark.parametrize("prefix", ["", "<3>", "[    5.559842] ", "<3>[    5.559842] ", "[    5.559842][   T812] ",
                                    "[    5.559842] [ T812] ", "[    5.559842] kernel: ",
                                    "May 18 19:02:39 host kernel: "])  # fmt: skip
def test_stamps_of_every_form(prefix: str) -> None:
    event = only(f"{prefix}NVRM: Xid (PCI:0000:2b:00): 31, Ch 00000003\n")
    assert event.last_s == (5.559842 if "[" in prefix else None)


# --- any log ---


def test_xids_in_any_log_come_with_their_line() -> None:
    lines = [
        "May 18 19:02:39 host kernel: NVRM: Xid (PCI:0000:2b:00): 79, GPU has fallen off the bus.",
        "x" * 10**7,
        "",
    ]
    ((line, found),) = kernel_lines.xids(iter(lines))
    assert (line, found.code, found.gpu) == (lines[0], 79, "0000:2b:00.0")


# --- a bundle, and garbage ---

LINES = (
    FIRST.strip(), "[    5.559842] NVRM: The NVIDIA GPU 0000:02:00.0", "   NVRM: (PCI ID: 10de:2c58) installed has",
    "   NVRM: fallen off the bus and is not responding to commands.", "[7.5] secret.example.org: NVRM is not installed",
    "NVRM: Xid (PCI:0000:2b:00): 31, pid=12, name=payroll, Ch 3", "[    9.25] eth0: 52:54:00:12:34:56 up",
    "[12.0] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 20034, Fatal, Link 30 LTSSM Fault Up", "kernel: ", "\0\x1c\x85",
    "[99.000001] NVRM: Xid (PCI:0000:2b:00): 13, pid=12, pid=13, name=a,b, Graphics Exception", "[] [1.1] NVRM",
    "[6.0] NVRM: GPU Board Serial Number: 1654", "[6.1] pcieport 0000:00:01.0: PCIe Bus Error: severity=Correctable",
    "[6.2] NVRM: The NVIDIA GPU 0000:03:00.0 fallen off the bus", "[6.3] NVRM: nvidia-nvlink: SXid (PCI:0000:07:00.0)",
    "[6.4] NVRM: x NVRM: GPU 0000:02:00.0: RmInitAdapter failed! (0x26:0x56:1482)" + " " * 150 + "x",
    "[999999.0] NVRM: The NVIDIA GPU 0000:04:00.0", "[7.1] NVRM: x SXid (PCI:0000:07:00.0): 20034, Fatal, x",
)  # fmt: skip


def test_what_is_kept_says_the_same() -> None:
    dice = random.Random(79)  # noqa: S311
    letters = "NVRM: Xid (PCI:0000:2b:00): 7,pid=name [1.5]\t\x1c\u2028é"
    for _ in range(3000):
        lines = [
            dice.choice(LINES) if dice.random() < 0.8 else "".join(dice.choices(letters, k=dice.randrange(40)))
            for _ in range(dice.randrange(9))
        ]
        text = dice.choice(("\n", "\r\n", " ", "")).join(lines)
        assert told(kernel_log.kept(text)) == told(text), text


def test_nobodys_business_is_not_kept() -> None:
    kept = kernel_log.kept("".join(f"{line}\n" for line in LINES[:9]))
    for word in ("buildd", "payroll", "pid=12", "52:54:00", "eth0", "secret"):
        assert word not in kept, word
    serial = "[1.0] NVRM: GPU Board Serial Number: 1654623000001\n[1.1] NVRM: Xid (PCI:0000:2b:00): 31, Ch 3\n"
    assert kernel_log.kept(serial).count("1654623000001") == 0
    assert parse(kernel_log.kept(serial)) == parse(serial)


@pytest.mark.parametrize("text", ["\0" * 10**6, "NVRM: " * 10**6, "[1.0] NVRM: Xid (PCI:0000:2b:00" + "0:" * 10**6,
                                  "[1.0] NVRM: RmInitAdapter failed! (" + "(" * 10**6])  # fmt: skip
def test_garbage_of_megabytes_is_no_event(text: str) -> None:
    assert parse(text).events == ()


def test_events_have_an_end() -> None:
    flood = "".join(f"[1.0] NVRM: Xid (PCI:{n:04x}:01:00): 13, x\n" for n in range(3000))
    log = parse(flood)
    assert len(log.events) == kernel_log.MOST
    assert replace(log, events=()) == replace(parse(FIRST), starts_s=1.0)
