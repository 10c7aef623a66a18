"""`import gpucheck` in a notebook: doctor(), prove() and %%gpucheck, in IPython's own shell and in a real kernel."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import gpucheck
from gpucheck import codec, engine
from gpucheck.compat import load
from gpucheck.facts import Run
from gpucheck.host import Recorded
from gpucheck.model import Failure, Report
from gpucheck.notebooks import Page, Proof
from gpucheck.notebooks import page as pages
from gpucheck.probes import PROBES
from gpucheck.render import renderer
from gpucheck.rules import HOST_RULES

ROOT = Path(__file__).parents[1]
MACHINES = Path(__file__).parent / "machines"


def recorded(name: str) -> Report:
    facts = engine.collect(PROBES, Recorded(json.loads((MACHINES / name / "recording.json").read_text())))
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, load()), host=name)


def framed(page: Page) -> str:
    """The document in the frame."""
    found = re.search(r'srcdoc="([^"]*)"', page._repr_html_())
    assert found is not None
    return unescape(found[1])


def left() -> tuple[list[str], list[str], set[str], list[object]]:
    """What a block could leave in this process: threads, children, variables, finders of modules."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    threads = sorted(os.listdir("/proc/self/task"))
    return threads, children, {*os.environ}, list(sys.meta_path)


# --- what is instant stays so ---


def test_the_import_brings_nothing_with_it() -> None:
    code = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import gpucheck
print([name for name in sys.modules if name.startswith(('gpucheck', 'typing', 'rich', 'typer', 'importlib.metadata'))])
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['gpucheck']\n"
    with pytest.raises(AttributeError, match="no attribute 'prov'"):
        _ = gpucheck.prov


# --- doctor ---


def test_doctor_is_a_page_in_a_cell_and_text_elsewhere() -> None:
    page = gpucheck.doctor(only=["system"])
    assert page.report is not None
    assert page.exit_code == page.report.exit_code
    assert {finding.rule.split(".")[0] for finding in page.report.findings} >= {"system"}
    assert page.report.verdict in repr(page)
    assert "<iframe" not in repr(page)
    assert framed(page).startswith("<!doctype html>")
    assert page._repr_html_() is page._repr_html_()


def test_a_tip_comes_with_what_makes_no_sense() -> None:
    with pytest.raises(Failure, match="there is no rule 'sytem'") as raised:
        gpucheck.doctor(only=["sytem"])
    assert raised.value.__notes__[0].startswith("tip: ")
    with pytest.raises(Failure, match="'tpu' is no device"):
        gpucheck.prove(device="tpu")


def test_colab_without_a_gpu_says_which_menu() -> None:
    page = Page(recorded("colab-without-gpu"))
    assert "Runtime > Change runtime type" in repr(page)
    assert "Runtime &gt; Change runtime type" in framed(page)
    assert "Runtime &gt; Change runtime type" in page._repr_html_().partition("<iframe")[0]


def test_whatever_a_machine_says_is_text() -> None:
    report = codec.load(Report, {**codec.dump(recorded("colab-without-gpu")), "host": "<script>alert(1)</script>\"'"})
    shown = Page(report)._repr_html_()
    assert "<script" not in shown
    assert shown.count("<iframe") == 1
    assert "<script" not in framed(Page(report)).lower()


def test_without_the_extra_it_is_the_terminals_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> str:
        raise Failure("the format html needs the package jinja2", "`pip install jinja2 matplotlib seaborn`")

    monkeypatch.setattr(pages, "renderer", lambda name: missing if name == "html" else renderer(name))
    shown = Page(recorded("colab-without-gpu"))._repr_html_()
    assert "pip install jinja2" in shown
    assert "Runtime &gt; Change runtime type" in shown


# --- prove, where no framework is ---


def test_by_itself_it_proves_nothing_and_says_how() -> None:
    proof = gpucheck.prove()
    assert repr(proof) == f"not proven: {proof._state}"
    assert "with gpucheck.prove():" in proof._repr_html_()
    assert proof.exit_code == 3


def test_a_block_without_a_framework_is_not_proven() -> None:
    before = left()
    with gpucheck.prove() as proof:
        assert "GPUCHECK_PROVE" in os.environ
        folder = Path(os.environ["GPUCHECK_PROVE"])
        assert proof.exit_code == 3
        assert "has not ended" in repr(proof)
    assert left() == before
    assert not folder.exists()
    assert proof.exit_code == 3
    assert "no framework was seen" in repr(proof)
    with pytest.raises(Failure, match="has had its block"), proof:
        pass


def test_an_error_goes_on_and_the_proof_says_so() -> None:
    before = left()
    with pytest.raises(ValueError, match="<b>no"), gpucheck.prove() as proof:
        raise ValueError("<b>no")
    assert left() == before
    assert proof.exit_code == 1
    assert "its last words: ValueError: <b>no" in repr(proof)
    assert "<b>no" not in proof._repr_html_()


def test_an_interrupted_block_proves_nothing_and_leaves_nothing() -> None:
    before, proof, folders = left(), gpucheck.prove(), []

    def interrupted() -> None:
        with proof:
            folders.append(Path(os.environ["GPUCHECK_PROVE"]))
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert left() == before
    assert not folders[0].exists()
    assert proof.report is None
    assert repr(proof) == "not proven: the block was ended by KeyboardInterrupt"
    assert proof.exit_code == 3


def test_one_in_another_is_not_observed_and_says_so() -> None:
    with gpucheck.prove() as outer:
        with gpucheck.prove() as inner:
            pass
        assert len([finder for finder in sys.meta_path if type(finder).__name__ == "Finder"]) == 1
    assert "observes this process already" in repr(inner)
    assert "observes this process already" not in repr(outer)


def test_what_a_block_sets_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    with gpucheck.prove():
        assert os.environ["PYTHONPATH"].endswith(":/mine")
        os.environ["PYTHONPATH"] = "/other"
    assert os.environ["PYTHONPATH"] == "/other"


def test_the_evidence_can_be_kept_and_judged_again(tmp_path: Path) -> None:
    with gpucheck.prove(keep=tmp_path / "kept") as proof:
        pass
    again = subprocess.run([sys.executable, "-m", "gpucheck", "prove", "--from", tmp_path / "kept", "--format", "json"],
                           capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert again.returncode == 3
    assert proof.report is not None
    assert json.loads(again.stdout)["findings"] == codec.dump(proof.report)["findings"]
    with pytest.raises(Failure, match="is not empty"), gpucheck.prove(keep=tmp_path / "kept"):
        pass


# --- the cell magic ---


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    kind: Any = InteractiveShell
    made = kind(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_cell("%load_ext gpucheck")
    yield made
    made.run_cell("%unload_ext gpucheck")
    assert "gpucheck" not in made.magics_manager.magics["cell"]
    atexit.unregister(made.atexit_operations)
    made.atexit_operations()


def test_the_magic_runs_the_cell_and_shows_the_proof(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("%%gpucheck proof\nx = 1 + 1\nprint('the cell')")
    assert result.success
    out = capsys.readouterr().out
    assert out.index("the cell") < out.index("not proven: no framework was seen")
    assert shell.user_ns["x"] == 2
    assert isinstance(shell.user_ns["proof"], Proof)
    report = shell.user_ns["proof"].report
    assert report is not None
    assert report.facts.known[Run].command == ("%%gpucheck", "proof")


def test_an_error_of_the_cell_fails_it_and_is_shown_once(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("%%gpucheck proof\nraise ValueError('no luck')")
    assert not result.success
    assert type(result.error_in_exec) is ValueError
    assert capsys.readouterr().out.count("Traceback") == 1
    assert shell.user_ns["proof"].exit_code == 1


def test_a_cell_that_is_no_python_fails_too(shell: Any) -> None:
    assert not shell.run_cell("%%gpucheck proof\n1 +").success
    assert "SyntaxError" in repr(shell.user_ns["proof"])


def test_ctrl_c_in_the_cell_leaves_nothing(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = left()
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = shell.run_cell("%%gpucheck proof\nimport time\ntime.sleep(20)")
    assert type(result.error_in_exec) is KeyboardInterrupt
    assert left() == before
    assert "not proven: the block was ended by KeyboardInterrupt" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["--device tpu", "--nonsense", "1name", "'open"])
def test_a_line_that_it_does_not_know_is_one_sentence(
    shell: Any, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not shell.run_cell(f"%%gpucheck {line}\nran = True").success
    assert "ran" not in shell.user_ns
    said = capsys.readouterr()
    assert "[NAME] [--device gpu|cpu]" in said.err
    assert "Traceback" not in said.out + said.err


# --- a real kernel with a real framework ---

CELLS = (
    "import time, torch\nx = torch.randn(256, 256)\nold = torch.autograd.profiler._prepare_profiler",
    "%load_ext gpucheck",
    "%%gpucheck first --device cpu\nend = time.time() + 1\nwhile time.time() < end:\n    y = x @ x",
    "%%gpucheck second\nend = time.time() + 1\nwhile time.time() < end:\n    y = x @ x",
    "%%gpucheck third\nraise ValueError('no luck')",
    """
    import json, os, pathlib, sys
    from gpucheck.facts import Placement
    print(json.dumps({
        "verdicts": [proof.verdict for proof in (first, second, third)],
        "codes": [proof.exit_code for proof in (first, second, third)],
        "heavy": sorted({(op.op, op.device) for op in first.report.facts.known[Placement].ops if op.op == "aten::mm"}),
        "left": [os.environ.get("GPUCHECK_PROVE"),
                 pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
                 [type(finder).__name__ for finder in sys.meta_path].count("Finder"),
                 torch.autograd.profiler._prepare_profiler is old]}))""",
)


RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=100, allow_errors=True).execute()
nbformat.write(notebook, sys.argv[1])
"""


def test_cells_of_a_kernel(framework_python: Callable[[str], str], tmp_path: Path) -> None:
    """The third proof is of a cell that failed; the notebook goes on, as nbclient is told to."""
    nbformat: Any = importlib.import_module("nbformat")
    made = [nbformat.v4.new_code_cell(textwrap.dedent(text)) for text in CELLS]
    path = tmp_path / "cells.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    beside = Path(nbformat.__file__).parents[1]  # nbclient and ipykernel are there too
    paths = {"PYTHONPATH": f"{ROOT}:{beside}", "IPYTHONDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([framework_python("pytorch-cpu"), "-c", RUN, path], env={**os.environ, **paths},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(path, 4).cells
    [told] = [json.loads(output.text) for output in cells[-1].outputs]
    assert told["codes"] == [0, 1, 1]
    assert told["verdicts"][0].startswith("yes: every heavy op that was seen ran on the CPU")
    assert told["verdicts"][1].startswith("no: 0 of its heavy ops ran on a GPU")
    assert "ValueError: no luck" in told["verdicts"][2]
    assert told["heavy"] == [["aten::mm", "CPU:0"]]
    assert told["left"] == [None, "", 0, True]
    shown = [output for output in cells[3].outputs if output.output_type == "display_data"]
    assert len(shown) == 1
    assert "gpucheck prove · " in shown[0].data["text/plain"]
    assert "srcdoc=" in shown[0].data["text/html"]
    assert "error" in [output.output_type for output in cells[4].outputs]


# --- real frameworks in a program's own block ---


def told_by(python: str, script: str) -> tuple[list[Any], str]:
    """The JSON of the last line that the script prints, and all that it said."""
    done = subprocess.run(
        [python, "-c", textwrap.dedent(script)], capture_output=True, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONPATH": f"{ROOT}:{Path(importlib.import_module('yaml').__file__ or '').parents[1]}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1])), done.stdout + done.stderr


def test_what_jax_had_compiled_before_is_not_told_of(framework_python: Callable[[str], str]) -> None:
    script = """
        import json, time, jax, jax.numpy as jnp, gpucheck
        from gpucheck.facts import Placement
        before, a = jax.jit(lambda a: (a @ a).sum()), jnp.ones((256, 256))
        before(a)
        def work(product):
            end = time.time() + 0.7
            while time.time() < end:
                product(a).block_until_ready()
        with gpucheck.prove() as first:
            work(before)
        with gpucheck.prove() as second:
            after = jax.jit(lambda a: (a @ a).max())
            work(after)
        ops = [{op.op for op in proof.report.facts.known[Placement].ops} for proof in (first, second)]
        print(json.dumps([["dot" in names for names in ops], [first.exit_code, second.exit_code], repr(first)]))
    """
    told, _ = told_by(framework_python("jax-cpu"), script)
    assert told[:2] == [[False, True], [1, 1]]
    assert "not seen: jax: the programs that it had compiled before are not told of" in told[2]


@pytest.mark.tensorflow
def test_tensorflow_prints_no_placement_after_a_block_either(tensorflow_python: str) -> None:
    script = """
        import json, time, gpucheck
        from gpucheck.facts import Kernels
        with gpucheck.prove() as proof:
            import tensorflow as tf
            a, end = tf.ones((256, 256)), time.time() + 1
            while time.time() < end:
                tf.matmul(a, a)
        tf.matmul(a, a)
        tf.function(lambda a: a @ a)(a)
        print(json.dumps([proof.exit_code, proof.report.facts.known[Kernels].host_ops > 0, repr(proof)]))
    """
    told, said = told_by(tensorflow_python, script)
    assert told[:2] == [1, True]
    assert "not seen: tensorflow: its placement log stays off" in told[2]
    assert "/device:" not in said


def test_a_python_that_the_block_starts_is_observed_too(framework_python: Callable[[str], str]) -> None:
    script = """
        import json, subprocess, sys, gpucheck
        from gpucheck.facts import Run
        work = "import time, torch; x = torch.ones(256, 256); end = time.time() + 1.2\\nwhile time.time() < end: x @ x"
        with gpucheck.prove(device="cpu") as proof:
            subprocess.run([sys.executable, "-c", work], check=True)
        run = proof.report.facts.known[Run]
        print(json.dumps([len(run.processes), run.frameworks, proof.exit_code]))
    """
    told, _ = told_by(framework_python("pytorch-cpu"), script)
    assert told == [1, ["torch"], 0]
