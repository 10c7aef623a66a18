"""Names that may stand anywhere in what was read, each replaced by one that stays the same wherever it stands.

A UUID becomes a part of its own hash, so that one GPU is one GPU in every bundle of that machine, and no bundle tells
which. Names that could be guessed from a hash become a plain word: the host's, the user's, a network card's. A folder
that is not every machine's becomes a counted one.
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
        # Tokens, by their issuers' own beginnings; a JSON Web Token.
        (r"\b(?:hf|ghp|gho|ghs|glpat|sk|pk|nvapi|dckr_pat)[_-][\w-]{16,}", "TOKEN"),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "TOKEN"),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "TOKEN"),
        (r"\b(https?|tcp|ssh|ftp|git|s3|gs|nfs)://[^\s\"'\\\]]*[^\s\"'\\\].,:;?]", r"\1://host"),
        (r"(?<![\w.+-])[\w.+-]{1,64}@[\w-][\w.-]{0,252}\w(?![\w-])", "user@host"),
    )
)
SHORTEST = 3  # letters of a name: "vm" or "jo" is part of other words, and masked only where a name must stand
# No one is told by the name of a machine or user that is one of the words which probes and rules look for.
WORDS = frozenset("""
    user root host localhost admin guest nobody system server node worker master data test demo app lab dev ops
    ubuntu debian fedora centos rocky almalinux rhel redhat suse opensuse sles arch archlinux alpine amzn amazon
    amazonlinux azure azureuser google gcp aws microsoft wsl linux darwin nixos tegra jetson colab
    nvidia nouveau gpu gpus cuda cudnn cudart nvcc nvml mig vgpu tesla geforce quadro grid hopper grace blackwell
    docker dockerd containerd podman runc crun rootless kubernetes kubepods apptainer singularity lxc libpod overlay2
    kvm qemu vmware xen virtualbox parallels conda pip uv python python3 torch pytorch tensorflow jax jaxlib keras
    driver drivers kernel module modules open server headless utils compute video render wheel sudo adm users
    usr lib lib32 lib64 bin sbin etc var run opt tmp home mnt srv proc sys boot local share include compat stubs site
    dist packages build version release info log list config daemon json yaml toml txt pid service services systemd
    suspend apt dpkg rpm dnf pacman dkms cdi hook plugin plugins runtime platform tools history installer make
    loaded active inactive failed enabled disabled masked default context desktop engine client true false null none
    cpu libcuda libnvidia modprobe opengl homebrew generic standard container error
""".split())  # fmt: skip
MODEL = re.compile(r"(?:[abhlptv]|gb|gh|rtx|gtx)?\d+(?:ti)?")  # of a GPU
# The endings of files: a host's name that one follows has no domain there.
FILE = r"(?:json|ya?ml|toml|sock|socket|service|so|conf|log|txt|py|pid|d)\b"

# A path in a sentence, without its full stop; what follows on an XML element's "<" is none. And a line that is one.
WORD = r"(?:(?<![\w.~/\\<])|(?<=://))/(?=[\w.])[^\s\"'`:;,\\()<>|\[\]{}*?\0]*[^\s\"'`:;,\\()<>|\[\]{}*?\0.]"
PATH, PATHS = re.compile(WORD), re.compile(rf"^/[^\n\"':;,\\<\0]+$|{WORD}", re.MULTILINE)
LONGEST = 4096  # bytes of a path, and more is none
# Folders that a distribution fills, and a name in them tells of no one: all but /usr/local and most of /var.
SYSTEM = re.compile(
    r"/(?:usr(?!/local/)|s?bin|lib\w{0,4}|etc|dev|proc|sys|run|boot|nix|System|\.dockerenv|\.singularity\.d|"
    r"var/(?:log|run|snap|lib/(?:docker|dkms|dpkg|rpm|pacman|snapd)))(?:/|$)"
)
KNOWN = re.compile(
    r"folder\d+|home|user|root|host|Users|opt|usr|local|var|tmp|mnt|media|srv|nfs|data|scratch|workspace|content|drive|"
    r"s?bin|lib(?:32|64)?|include|targets|extras|compat|stubs|share|etc|current|versions|docker|\.docker|desktop|\.?v?env|envs|"
    r"\.?(?:mini|ana|micro)?conda\d?|(?:mini|mamba)forge\d?|\.pyenv|homebrew|Cellar|\.local|\.cache|libs|"
    r"(?:x86_64|aarch64|sbsa)-linux(?:-gnu)?|python[\d.]{0,8}|(?:site|dist)-packages|v?\d[\d.]{0,20}|"
    r"(?:cuda|cudnn|nvidia|driver|TensorRT|hpc_sdk)(?:-\d[\d.]*)?|daemon\.json|docker\.sock|dockerd|"
    r"lib[\w-]+\.so(?:\.\d+)*|version\.(?:json|txt|py)|nvcc|nvidia-[\w-]{1,30}"
)
PACKAGES = re.compile(r"(/(?:site|dist)-packages/)")  # what is below is a package's own


def replacer(texts: Iterable[str], hostname: str = "", users: Iterable[str] = ()) -> Callable[[str], str]:
    """A function (text) to the text without names. `texts` are all there are: a short UUID is told by its whole one."""
    whole = {match[2].lower(): _mask(match[0]) for text in texts for match in GPU.finditer(text) if len(match[0]) > 38}
    names = [*_hosts(hostname), *_users(users)]
    folders: dict[str, str] = {}

    def gpu(match: re.Match[str]) -> str:
        if match[0].endswith(REST):
            return match[0]
        mask = whole.get(match[2].lower()) or _mask(match[0])
        return f"{match[1]}-{mask}{REST}"[: len(match[0])]

    def uuid(match: re.Match[str]) -> str:
        return match[0] if match[0].endswith(REST) else _mask(match[0]) + REST

    def path(match: re.Match[str]) -> str:
        return _path(match[0], folders)

    def paths(match: re.Match[str]) -> str:
        return PATH.sub(path, match[0]) if " /" in match[0] else path(match)

    def replace(text: str) -> str:
        text = UUID.sub(uuid, GPU.sub(gpu, text))
        for pattern, instead in (*PLAIN, *names):
            text = pattern.sub(instead, text)
        return PATHS.sub(paths, text)

    return replace


def _hosts(hostname: str) -> list[tuple[re.Pattern[str], str]]:
    """The machine's name, with or without its domain, and the other machines of that domain."""
    patterns = []
    for name in dict.fromkeys((hostname, hostname.lower())):
        short, _, domain = name.partition(".")
        if "." in domain:
            patterns.append(rf"(?:[\w-]{{1,63}}\.){{0,5}}{re.escape(domain)}(?![\w-])")
        if _tells(short):
            patterns.append(rf"{re.escape(short)}(?:\.(?!{FILE})[A-Za-z][\w-]*)*(?![A-Za-z0-9])")
    return [(re.compile(rf"(?<![A-Za-z0-9]){pattern}"), "host") for pattern in patterns]


def _users(users: Iterable[str]) -> list[tuple[re.Pattern[str], str]]:
    """Of CORP\\ann or ann@corp.example, too, what is before or after the sign."""
    names = {part for user in users for part in (user, *re.split(r"[\\@+]", user)) if _tells(part)}
    return [
        (re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"), "user")
        for name in sorted(names, key=len, reverse=True)
    ]


def _tells(name: str) -> bool:
    return len(name) >= SHORTEST and name.lower() not in WORDS and not MODEL.fullmatch(name.lower())


def _path(path: str, folders: dict[str, str]) -> str:
    if SYSTEM.match(path):
        return path
    if len(path) > LONGEST:
        return "/folder"
    own, packages, theirs = PACKAGES.split(path, maxsplit=1) if PACKAGES.search(path) else (path, "", "")
    kept = [
        name if not name or KNOWN.fullmatch(name) else folders.setdefault(name, f"folder{len(folders) + 1}")
        for name in own.split("/")
    ]
    return "/".join(kept) + packages + theirs


def _mask(name: str) -> str:
    """Eight hexadecimal digits that do not tell the UUID, which has 122 bits."""
    return hashlib.sha256(name.lower().encode()).hexdigest()[:8]
