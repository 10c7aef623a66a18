"""Split a lock by how often its parts change, so that each has a layer of its own: python3 split.py LOCK FOLDER

FOLDER gets nvidia.txt (CUDA's libraries, gigabytes, that change with CUDA) and framework.txt (the framework's own large
wheels). What is in neither is small: the whole lock is installed after them. A part without a wheel is an empty file.
names.txt has the framework's names alone, "torch==": it is the same for another version.
"""

import re
import sys
from pathlib import Path

NVIDIA = re.compile(r"nvidia-|cuda-|triton==")
FRAMEWORK = re.compile(r"(tensorflow|tensorflow-cpu|torch|jaxlib|jax-cuda\d+-(pjrt|plugin)|xgboost|xgboost-cpu)==")


def requirements(lock: str) -> list[str]:
    """Each requirement with its hashes, and each option of pip's; a comment is not one."""
    lines = "\n".join(line for line in lock.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return re.split(r"(?<!\\)\n", lines) if lines else []


def part(wanted: re.Pattern[str], lock: str) -> str:
    """A lock of the requirements that match, with the lock's options; empty where none matches."""
    rows = requirements(lock)
    chosen = [row for row in rows if wanted.match(row)]
    options = [row for row in rows if row.startswith("-")]
    return "".join(f"{row}\n" for row in (*options, *chosen)) if chosen else ""


def main() -> None:
    lock, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nvidia.txt").write_text(part(NVIDIA, lock))
    (folder / "framework.txt").write_text(part(FRAMEWORK, lock))
    named = (FRAMEWORK.match(row) for row in requirements(lock))
    (folder / "names.txt").write_text("".join(f"{found[0]}\n" for found in named if found))


if __name__ == "__main__":
    main()
