"""`gpucheck init`: every project is whole and says the truth, nothing is overwritten by chance, and it trains."""

from __future__ import annotations

import ast
import itertools
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from gpucheck import projects, recipes
from gpucheck.cli.app import app
from gpucheck.projects import FRAMEWORKS, KINDS, RUNS, Project

ROOT = Path(__file__).parents[1]
Gpucheck = Callable[..., tuple[int, str, str]]
EVERY = list(itertools.product(FRAMEWORKS, RUNS, KINDS))
every = pytest.mark.parametrize(("framework", "runs", "kind"), EVERY, ids="-".join)


def flags(framework: str, runs: str, kind: str) -> list[str]:
    return ["--framework", framework, "--runs", runs, "--kind", kind]


def there(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is written ---


@every
def test_every_project_is_written(gpucheck: Gpucheck, tmp_path: Path, framework: str, runs: str, kind: str) -> None:
    folder = tmp_path / "My Project"
    code, out, err = gpucheck("init", folder, *flags(framework, runs, kind))
    assert (code, err) == (0, f"gpucheck: {folder / 'README.md'} has the next steps\n")
    written = there(folder)
    assert sorted(out.splitlines()) == sorted(str(folder / name) for name in written)
    assert {"README.md", ".gitignore", KINDS[kind]} < set(written)
    assert ("compose.yaml" in written) == (runs == "compose")
    assert (".github/workflows/gpu.yaml" in written) == (runs == "ci")
    assert not [name for name, text in written.items() if re.search(rb"(?<!\$)\$(name|run|train|image|recipe)\b", text)]


@every
def test_its_code_is_code(framework: str, runs: str, kind: str) -> None:
    texts = projects.files(Project(name="x", framework=framework, runs=runs, kind=kind))
    if kind == "script":
        code = texts["train.py"]
    else:
        import nbformat

        nbformat.validate(nbformat.reads(texts["train.ipynb"], as_version=4))  # type: ignore[no-untyped-call]
        cells = json.loads(texts["train.ipynb"])["cells"]
        assert [cell["cell_type"] for cell in cells].count("code") == 5
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    ast.parse(code)
    assert 'os.environ.get("DEVICE") or "gpu"' in code
    assert "raise SystemExit" in code


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_compose_asks_for_the_gpu_as_ours_does(framework: str, kind: str) -> None:
    project = Project(name="x", framework=framework, runs="compose", kind=kind)
    texts = projects.files(project)
    made = yaml.safe_load(texts["compose.yaml"])
    ours = yaml.safe_load((ROOT / "compose" / "notebook.yaml").read_text())["services"]["work"]
    (service,) = made["services"].values()
    assert service["deploy"] == ours["deploy"]
    assert (service["cap_drop"], service["security_opt"]) == (ours["cap_drop"], ours["security_opt"])
    assert service["build"]["args"]["IMAGE"] == f"${{GPUCHECK_IMAGE:-{project.recipe.image_tag}}}"
    assert f"ARG IMAGE={project.recipe.image_tag}\nFROM ${{IMAGE}}\n" in texts["Dockerfile"]
    assert project.recipe == recipes.load()[project.recipe.name]
    assert (project.recipe.variant == "notebook") == (kind == "notebook")
    if kind == "notebook":
        assert service["ports"] == ["127.0.0.1:${GPUCHECK_PORT:-8888}:8888"]
        assert set(made["volumes"]) == {"home"}
    assert f"!{KINDS[kind]}" in texts[".dockerignore"].split()


@pytest.mark.parametrize("kind", KINDS)
def test_the_workflow_asks_doctor_and_proves(kind: str) -> None:
    texts = projects.files(Project(name="x", framework="pytorch", runs="ci", kind=kind))
    job = yaml.safe_load(texts[".github/workflows/gpu.yaml"])["jobs"]["train"]
    assert job["runs-on"] == ["self-hosted", "linux", "gpu"]
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    run = "train.ipynb" if kind == "notebook" else "python train.py"
    assert "gpucheck doctor --format github" in lines
    assert f"gpucheck prove --exit verdict --format json --report proof.json -- {run}" in lines
    for line in lines:
        understood(line)


@every
def test_the_readme_says_commands_that_are_understood(framework: str, runs: str, kind: str) -> None:
    text = projects.files(Project(name="x", framework=framework, runs=runs, kind=kind))["README.md"]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()] + re.findall(r"`(gpucheck [^`]+)`", text)
    assert any(line.startswith("gpucheck prove --exit verdict") for line in commands)
    for line in commands:
        understood(line.replace("\n", " "))
    assert "\n\n\n" not in text


def understood(line: str) -> None:
    """By this command line, where it is one of gpucheck's."""
    words = shlex.split(line.partition(" >> ")[0])
    if words[:1] == ["gpucheck"]:
        root: Any = get_command(app)
        command = root.commands[words[1]]
        assert command.make_context(words[1], words[2:], resilient_parsing=words[1:] == ["init"])


def test_on_a_host_it_needs_what_the_recipes_lock_is_of() -> None:
    texts = projects.files(Project(name="x", framework="jax", runs="host", kind="notebook"))
    lines = texts["requirements.txt"].splitlines()
    assert "jax[cuda13]==0.10.2" in lines
    assert {"ipykernel", "nbclient"} < set(lines)


@pytest.mark.parametrize(
    ("folder", "name"), [("My Project!", "my-project"), ("---", "project"), ("é", "project"), ("a" * 99, "a" * 60)]
)
def test_a_folders_name_is_one_for_compose(tmp_path: Path, folder: str, name: str) -> None:
    assert projects.name_of(tmp_path / folder) == name


# --- what is there already ---


def test_nothing_is_overwritten_unasked(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    (tmp_path / "Dockerfile").symlink_to("nowhere")
    wanted = flags("pytorch", "compose", "script")
    code, out, err = gpucheck("init", tmp_path, *wanted)
    assert (code, out) == (2, "")
    assert "train.py, Dockerfile are there already; nothing was written" in err
    assert there(tmp_path) == {"train.py": b"mine"}
    assert gpucheck("init", tmp_path, *wanted, "--force")[0] == 0
    assert "torch" in (tmp_path / "train.py").read_text()
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "Dockerfile").is_symlink()


def test_the_same_again_is_in_nobodys_way(gpucheck: Gpucheck, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    assert gpucheck("init", folder, "--yes")[0] == 0
    before = there(folder)
    assert gpucheck("init", folder, "--yes")[0] == 0
    assert there(folder) == before


@pytest.mark.parametrize("name", ["README.md", ".github"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_cannot_be_is_said_before_anything_is_written(
    gpucheck: Gpucheck, tmp_path: Path, name: str, force: list[str]
) -> None:
    if name == "README.md":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    code, _, err = gpucheck("init", tmp_path, *flags("jax", "ci", "script"), *force)
    assert code == 2
    assert "folder" in err
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == [name]


def test_a_full_disk_leaves_everything_as_it_was(
    gpucheck: Gpucheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "README.md").write_text("mine")
    real = Path.write_text

    def full(self: Path, text: str, *more: Any, **named: Any) -> int:
        if self.name == ".gpu.yaml.partial":
            raise OSError(28, "No space left on device", str(self))
        return real(self, text, *more, **named)

    monkeypatch.setattr(Path, "write_text", full)
    for folder in (kept, tmp_path / "new" / "project"):
        code, out, err = gpucheck("init", folder, *flags("jax", "ci", "script"), "--force")
        assert (code, out) == (2, "")
        assert "No space left on device" in err
    assert there(kept) == {"README.md": b"mine"}
    assert not (tmp_path / "new").exists()
    assert not (kept / ".github").exists()


# --- the questions ---


def asked(folder: Path, answers: str, *options: str) -> tuple[int, str]:
    """On a terminal: the exit code, and what was said there."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-m", "gpucheck", "init", str(folder), *options], stdin=theirs,
                             stderr=theirs, stdout=subprocess.DEVNULL, cwd=ROOT)  # fmt: skip
    os.close(theirs)
    os.write(ours, answers.encode())
    said = b""
    while True:
        try:
            said += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    return child.wait(), said.decode()


def test_it_asks_three_questions(tmp_path: Path) -> None:
    code, said = asked(tmp_path / "p", "2\nnowhere\nhost\n\n")
    assert code == 0
    assert "'nowhere' is none of them" in said
    for question in ("Which framework?", "Where does it run?", "A script or a notebook?"):
        assert said.count(question) == 1
    assert "torch" in (tmp_path / "p" / "train.py").read_text()
    assert (tmp_path / "p" / "requirements.txt").exists()


def test_it_asks_only_what_is_not_told_and_before_it_overwrites(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    options = ["--framework", "jax", "--runs", "host"]
    code, said = asked(tmp_path, "1\nn\n", *options)
    assert code == 2
    assert "Which framework?" not in said
    assert "overwrite train.py?" in said
    assert there(tmp_path) == {"train.py": b"mine"}
    assert asked(tmp_path, "script\ny\n", *options)[0] == 0
    assert "jax" in (tmp_path / "train.py").read_text()


def test_no_answer_is_no_project(tmp_path: Path) -> None:
    code, said = asked(tmp_path / "p", "1\n\x04")
    assert code == 2
    assert "nothing was written" in said
    assert not (tmp_path / "p").exists()


def test_without_a_terminal_it_says_the_flags(gpucheck: Gpucheck, tmp_path: Path) -> None:
    code, _, err = gpucheck("init", tmp_path / "p", "--framework", "jax")
    assert code == 2
    assert "--framework tensorflow --runs compose --kind script" in err
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("wrong", ["--framework=caffe", "--runs=moon", "--kind=poem"])
def test_what_it_does_not_know(gpucheck: Gpucheck, tmp_path: Path, wrong: str) -> None:
    code, _, err = gpucheck("init", tmp_path / "p", "--yes", wrong)
    assert code == 2
    assert "is not one of" in err


# --- it trains ---


def trained(python: str, folder: Path, framework: str) -> str:
    texts = projects.files(Project(name="x", framework=framework, runs="host", kind="script"))
    projects.write(folder, texts)
    small = {"DEVICE": "cpu", "EPOCHS": "2", "IMAGES": "400"}
    done = subprocess.run([python, "train.py"], cwd=folder, env={**os.environ, **small}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pytorch_trains(framework_python: Callable[[str], str], tmp_path: Path) -> None:
    assert "on 40 images that it has not seen" in trained(framework_python("pytorch-cpu"), tmp_path, "pytorch")


def test_jax_trains(framework_python: Callable[[str], str], tmp_path: Path) -> None:
    assert "on 40 images that it has not seen" in trained(framework_python("jax-cpu"), tmp_path, "jax")


@pytest.mark.tensorflow
def test_tensorflow_trains(tensorflow_python: str, tmp_path: Path) -> None:
    assert "on 40 images that it has not seen" in trained(tensorflow_python, tmp_path, "tensorflow")


def test_without_a_gpu_it_says_so_and_does_not_train(framework_python: Callable[[str], str], tmp_path: Path) -> None:
    projects.write(tmp_path, projects.files(Project(name="x", framework="pytorch", runs="host", kind="script")))
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([framework_python("pytorch-cpu"), "train.py"], cwd=tmp_path, env=hidden, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "PyTorch sees no GPU: `gpucheck doctor` says why. DEVICE=cpu trains on the CPU.\n"
