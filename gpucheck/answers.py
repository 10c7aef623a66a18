"""What was found in a text or a log, as answers: what it means, the cause and the fix, the likeliest cause first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpucheck import compat, refusals, signatures
from gpucheck.model import Remedy
from gpucheck.rules import HOST_RULES
from gpucheck.rules.events import FALLEN, GSP, LINKS, POWER, RECOVERY
from gpucheck.signatures import Reading, Seen
from gpucheck.tables import Signature

RULES = {rule.id: rule for rule in HOST_RULES}
PLACES = {rule.id: place for place, rule in enumerate(HOST_RULES)}
TELLS = ("cause", "symptom", "program", "note")  # the order in which answers are given
CODE = re.compile(r"(?:cuda|cuinit)?[\s:]*(?:runtime |driver )?(?:error|failure|returned)?[\s:#(]*(\d{1,3})\)?", re.I)
XIDS = "https://docs.nvidia.com/deploy/xid-errors/index.html"
FAULT = {  # of an Xid, by its kind: what it tells, where it stands in the chain, whose fault it most often is
    "application": (
        "program",
        "kernel_log.no-application-xid",
        "most often the program's own fault, not the machine's",
    ),
    "driver": ("cause", "kernel_log.no-hardware-xid", "most often the driver or its firmware"),
    "hardware": ("cause", "kernel_log.no-hardware-xid", "most often the hardware"),
    "power": ("cause", "kernel_log.no-hardware-xid", "the power supply, its cables or its limits"),
    "informational": ("note", "kernel_log.no-hardware-xid", "told for your information"),
}
OWN = {  # Xids that a rule of their own looks for: its remedy says more than the catalogue's action
    FALLEN: "kernel_log.no-gpu-off-the-bus", POWER: "kernel_log.power-connected",
    RECOVERY: "kernel_log.no-recovery-asked", **dict.fromkeys(GSP, "kernel_log.no-gsp-failure"),
    **dict.fromkeys(LINKS, "kernel_log.no-link-error"),
}  # fmt: skip
ACTIONS = {  # of xids.toml
    "ignore": "nothing to do",
    "check-application": "look for the fault in the program: CUDA_LAUNCH_BLOCKING=1 finds the call and "
    "`compute-sanitizer` the access; where sound programs get it too, look at the GPU's health with `gpucheck doctor`",
    "restart-application": "start the program again; where it comes back, look for the fault in it, and where sound "
    "programs get it too, look at the GPU's health with `gpucheck doctor`",
    "follow-other": "follow the Xid before this one: it says what happened",
    "see-message": "the words behind the number in the log say what is asked for",
    "check-nvlink": "look at the links with `nvidia-smi nvlink --status`, reset the GPUs that are linked together, or "
    "reboot; where it comes back on the same link: its bridge, cable or board",
    "check-mechanicals": "switch the machine off; look at the card's seat and its power plugs",
    "reset-gpu": "end the work on that GPU, then `sudo nvidia-smi --gpu-reset -i` with its number, or reboot; where it "
    "comes back, have the card examined",
    "reboot": "reboot; where it comes back, have the machine examined",
    "update-driver": "take a newer release of the driver",
    "contact-vendor": "collect `sudo nvidia-bug-report.sh` and ask who sold the machine",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    id: str
    tells: str
    meaning: str
    cause: str
    fix: Remedy
    rule: str | None = None
    source: str = ""  # where more is to be read
    seen: Seen | None = None  # None where the question was the number itself


def in_log(chunks: Iterable[bytes]) -> tuple[tuple[Answer, ...], Reading]:
    """What was found, each once: what names a cause before a symptom before a program's own fault, and of each kind in
    the order in which a person would look.
    """
    rows = signatures.load()
    reading = signatures.read(chunks, rows)
    found = [of_signature(row, seen) for row in rows if (seen := reading.messages.get(row.id))]
    found += [of_xid(code, seen) for code, seen in reading.xids.items()]
    return tuple(sorted(found, key=_rank)), reading


def in_text(text: str) -> tuple[tuple[Answer, ...], Reading]:
    """Of a message; of a CUDA error's number ("802", "CUDA error 802"), an answer's id, or an engine's refusal too."""
    found, reading = in_log([text.encode("utf-8", "replace")])
    if not found:
        number = CODE.fullmatch(text)
        asked = (r for r in signatures.load() if r.id == text or (number and r.code == int(number[1])))
        found = tuple(map(of_signature, asked))
    if not found and (told := refusals.known(text)):
        fix = Remedy(text=told[1])
        found = (Answer(id="container-engine", tells="cause", meaning=told[0], cause="", fix=fix),)
    return found, reading


def _rank(answer: Answer) -> tuple[int, int]:
    return TELLS.index(answer.tells), PLACES.get(answer.rule or "", len(PLACES))


def of_signature(row: Signature, seen: Seen | None = None) -> Answer:
    fix = Remedy(text=row.fix) if row.fix else RULES[row.rule or ""].remedy
    if fix is None:
        raise ValueError(f"signatures.toml: {row.id} has no fix, and neither has {row.rule}")
    return Answer(
        id=row.id, tells=row.tells, meaning=row.meaning, cause=row.cause, fix=fix, rule=row.rule, source=row.source,
        seen=seen,
    )  # fmt: skip


def of_xid(code: int, seen: Seen | None = None) -> Answer:
    row = compat.load().xid(code)
    if row is None:
        return Answer(
            id=f"xid-{code}", tells="symptom", meaning=f"Xid {code} is not in our table", seen=seen, source=XIDS,
            cause="not known here: NVIDIA's catalogue may have it", fix=Remedy(text="look it up"),
        )  # fmt: skip
    tells, place, cause = FAULT[row.kind]
    rule = OWN.get(code, place)
    own = RULES[rule].remedy if code in OWN else None
    return Answer(
        id=f"xid-{code}", tells="symptom" if row.action == "follow-other" else tells, cause=cause, rule=rule,
        meaning=f"Xid {code} ({row.name}): {row.meaning}", fix=own or Remedy(text=ACTIONS[row.action]), source=XIDS,
        seen=seen,
    )  # fmt: skip
