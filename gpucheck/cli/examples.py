"""What `--help` and the man page show of each command in use: a line, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping

Example = tuple[str, str]

EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "doctor": (
        ("gpucheck doctor", "this machine: the one cause and its fix"),
        ("gpucheck doctor --deep", "also put every GPU to work for some seconds"),
        ("gpucheck doctor --image nvcr.io/nvidia/pytorch:25.01-py3", "does this image run here?"),
        ("gpucheck doctor --bundle help.json", "what a helper needs, without names"),
        ("gpucheck doctor --format junit --output doctor.xml", "for CI"),
    ),
    "build": (
        ("gpucheck build", "the TensorFlow image that fits this driver and these GPUs"),
        ("gpucheck build --framework pytorch==2.10 --notebook", "a version of your choice, with JupyterLab"),
        ("gpucheck build --explain --assume-driver 570.86.15 --assume-gpu H100", "what another machine would get"),
    ),
    "verify": (
        ("gpucheck verify", "did TensorFlow really train on the GPU?"),
        ("gpucheck verify --framework pytorch --devices 8", "and each of eight GPUs did its share?"),
        ("gpucheck verify --on host --python .venv/bin/python", "with the framework that is installed here"),
        ("gpucheck verify --format json > run.json", "to keep, or to make a page of"),
    ),
    "prove": (
        ("gpucheck prove -- python train.py", "where the work of this command was done"),
        ("gpucheck prove --image my/image:1 --with . -- python train.py", "of a command in a container"),
        ("gpucheck prove --exit verdict -- jupyter execute lab.ipynb", "for CI: fails where the GPU was not used"),
    ),
    "explain": (
        ("gpucheck explain driver.libraries-match", "a rule: why it matters"),
        ("gpucheck explain xid 79", "a line of the kernel log"),
        ("dmesg | gpucheck explain", "a log of any size"),
    ),
    "diff": (("gpucheck diff monday.json today.json", "what changed, what matters first"),),
    "report": (
        ("gpucheck report run.json -o run.html", "a page to read, to mail or to print"),
        ("gpucheck report reports/ -o fleet.html", "of many machines: the worst first"),
        ("gpucheck report run.json --plots plots/", "every chart as PNG"),
        ("gpucheck report run.json --format markdown", "for a pull request"),
    ),
    "init": (
        ("gpucheck init my-project", "three questions, and a small project that trains on the GPU and proves it"),
        ("gpucheck init my-project --framework pytorch --runs ci --kind script", "without a question"),
    ),
    "pack": (("gpucheck pack tensorflow-cuda12 usb/", "everything the build needs, for a machine without a network"),),
    "images": (("gpucheck images", "what was built, and whether it still fits this machine"),),
}


def epilog(command: str) -> str:
    """For Typer: `\\b` keeps the lines of a paragraph as they are."""
    lines = (f"  {line}\n      {what}" for line, what in EXAMPLES[command])
    return "\b\nExamples:\n" + "\n".join(lines)
