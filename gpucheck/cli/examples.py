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
        ("gpucheck verify --framework jax --world auto", "as a task of Slurm's: all nodes of the job together"),
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
    "cloud": (("gpucheck cloud verify aws --gpu T4 --dry-run", "the exact request, and its price"),),
    "cloud offers": (
        ("gpucheck cloud offers --gpu H100 --max-price 10", "what has one, the cheapest first, and when that was so"),
        ("gpucheck cloud offers --images", "the machine images that `--image` knows"),
    ),
    "cloud verify": (
        ("gpucheck cloud verify aws --gpu T4", "one command: rented, proven, given back"),
        ("gpucheck cloud verify gcp --type g2-standard-4 --region us-east1 --spot --yes", "without a question, for CI"),
        ("gpucheck cloud verify azure --gpu A100 --framework pytorch -o reports/", "its reports are kept"),
    ),
    "cloud create": (
        ("gpucheck cloud create aws --gpu L4 --minutes 120 --ssh", "to stay two hours, with port 22 open to you alone"),
    ),
    "cloud list": (("gpucheck cloud list", "what is ours on all three clouds, in all regions"),),
    "cloud report": (("gpucheck cloud report aws ana-g4dn-xlarge", "of an instance that `create` made"),),
    "cloud ssh": (("gpucheck cloud ssh aws ana-g4dn-xlarge -- nvidia-smi", "a command there"),),
    "cloud destroy": (
        ("gpucheck cloud destroy aws ana-g4dn-xlarge", "one run"),
        ("gpucheck cloud destroy --all", "everything of gpucheck's, on all three clouds"),
    ),
    "cloud init": (
        ("gpucheck cloud init ubuntu-24.04 > user-data.yaml", "for an image that has a driver, with any launcher"),
        ("gpucheck cloud init debian-12 --driver 580 > user-data.yaml", "for one that has none"),
    ),
    "cloud render": (
        ("gpucheck cloud render gcp --gpu L4 --format terraform -o module/", "an OpenTofu or Terraform module"),
        ("gpucheck cloud render aws --gpu A100 --format skypilot", "a SkyPilot task"),
    ),
    "fleet": (("gpucheck fleet report reports/", "what is wrong with how many, and who is odd"),),
    "fleet report": (
        ("gpucheck fleet report today/ --before yesterday/", "the causes, the odd ones, what has changed"),
        ("gpucheck fleet report today/ --expect nodes.txt --format html -o fleet.html", "a page; with the missing"),
        ("cat *.jsonl | gpucheck fleet report - --format junit -o fleet.xml", "lines on stdin, for CI"),
    ),
    "fleet run": (
        ("gpucheck fleet run --engine ssh --nodes 'n[1-40],@rack3'", "a rack without a scheduler, 64 nodes at a time"),
        ("gpucheck fleet run --engine slurm -O partition=gpu --command 'doctor --deep' -o monday/", "the idle nodes"),
        ("gpucheck fleet run --engine kubernetes -O image=registry/gpucheck:1", "every node with GPUs, in a pod each"),
        (
            "gpucheck fleet run --engine kubernetes --nodes g1,g2 -O image=registry/gpucheck:1 -O gpus=8 --render",
            "the manifests, for GitOps",
        ),
        ("gpucheck fleet run --engine ansible --render > gpucheck.yaml", "a playbook; for Ray and SkyPilot the same"),
        (
            "gpucheck fleet run --engine slurm --world --command 'verify --framework pytorch'",
            "one training over all of them",
        ),
    ),
    "fleet drain": (
        ("gpucheck fleet drain monday/ --engine kubernetes --dry-run", "who would be taken out, and given back"),
        ("gpucheck fleet drain monday/ --engine kubernetes", "taints and conditions; run it after each fleet run"),
        ("gpucheck fleet drain monday/ tuesday/ --engine slurm --max-age 48", "two clean reports resume a node"),
        ("gpucheck fleet drain --engine kubernetes --render", "the ClusterRole that it needs"),
    ),
    "fleet hooks": (
        ("gpucheck fleet hooks slurm-health", "what it would write, and the lines for slurm.conf"),
        (
            "gpucheck fleet hooks slurm-health --install",
            "write it, as root, on each node or into their image: --root DIR",
        ),
        ("gpucheck fleet hooks npd --uninstall", "remove exactly what was written"),
    ),
    "fleet node": (
        ("gpucheck fleet node --for slurm --dry-run", "would this node be drained, or resumed?"),
        ("gpucheck fleet node --for npd", "a line, and 0, 1 or 2, for node-problem-detector"),
    ),
    "images": (("gpucheck images", "what was built, and whether it still fits this machine"),),
}


def epilog(command: str) -> str:
    """For Typer: `\\b` keeps the lines of a paragraph as they are."""
    lines = (f"  {line}\n      {what}" for line, what in EXAMPLES[command])
    return "\b\nExamples:\n" + "\n".join(lines)
