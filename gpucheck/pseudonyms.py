"""Names that may stand anywhere in what was read, each replaced by one that stays the same wherever it stands.

A UUID becomes a part of its own hash, so that one GPU is one GPU in every bundle of that machine, and no bundle tells
which. Names that could be guessed from a hash become a plain word: the host's, the user's, a network card's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable

GPU = re.compile(
    r"\b(GPU|MIG)-([0-9a-fA-F]{8})((?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:-[0-9a-fA-F]{1,4}){0,3})(?![\w-])"
)
REST = "-0000-0000-0000-000000000000"  # of a UUID that was replaced
UUID = re.compile(r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])")
SHORTEST = 4  # letters: "vm" or "pc" is no secret, and is part of other words
PLAIN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"(?<![\w.])/(?:home/[^/\s\"'\\:;,]+|root)(?![\w.-])", "/home/user"),
        (r"(?<![\w.])/Users/[^/\s\"'\\:;,]+", "/Users/user"),
        (r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:])", "02:00:00:00:00:00"),  # a MAC
        (r"\b(i|vol|eni|subnet|vpc|sg|ami|snap)-[0-9a-f]{8,17}\b", r"\1-0"),  # AWS
        (r"\barn:[\w-]+:[\w:/.*-]+", "arn:0"),
        (r"\bprojects/[\w-]+/", "projects/0/"),  # Google Cloud
        (r"/subscriptions/[\w-]+", "/subscriptions/0"),  # Azure
        # Tokens, by their issuers' own beginnings; a JSON Web Token; a password in an address.
        (r"\b(?:hf|ghp|gho|ghs|glpat|sk|pk|nvapi|dckr_pat)[_-][\w-]{16,}", "TOKEN"),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "TOKEN"),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "TOKEN"),
        (r"(\w://)[^/\s@:]+(?::[^/\s@]*)?@", r"\1user@"),
    )
)


def replacer(texts: Iterable[str], hostname: str = "", user: str = "") -> Callable[[str], str]:
    """A function (text) to the text without names. `texts` are all there are: a short UUID is told by its whole one."""
    whole = {match[2].lower(): _mask(match[0]) for text in texts for match in GPU.finditer(text) if len(match[0]) > 38}
    words = [
        (name, word) for name, word in ((hostname, "host"), (user, "user")) if len(name) >= SHORTEST and name != "root"
    ]
    names = [(re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])"), word) for name, word in words]

    def gpu(match: re.Match[str]) -> str:
        if match[0].endswith(REST):
            return match[0]
        mask = whole.get(match[2].lower()) or _mask(match[0])
        return f"{match[1]}-{mask}{REST}"[: len(match[0])]

    def uuid(match: re.Match[str]) -> str:
        return match[0] if match[0].endswith(REST) else _mask(match[0]) + REST

    def replace(text: str) -> str:
        text = UUID.sub(uuid, GPU.sub(gpu, text))
        for pattern, instead in (*PLAIN, *names):
            text = pattern.sub(instead, text)
        return text

    return replace


def _mask(name: str) -> str:
    """Eight hexadecimal digits that do not tell the UUID, which has 122 bits."""
    return hashlib.sha256(name.lower().encode()).hexdigest()[:8]
