"""The start-up hook of `prove`, in processes of their own with a small stand-in for a framework and its observer.

tests/prove has the real frameworks.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PAYLOADS = Path(__file__).parents[1] / "gpucheck" / "payloads"
# `torch`, as far as the hook looks at it; `working` says that it is at work.
TORCH = """
    __version__ = "9.8.7"
    working = False
    class version: cuda = "13.0"; hip = None
    class cuda:
        started = False
        @staticmethod
        def is_initialized(): return cuda.started
    import torch.autograd
"""
PROFILER = "def _prepare_profiler(): return 'prepared'\ndef _enable_profiler(): return 'enabled'\n"
OBSERVER = """
    import os, sys, time
    FRAMEWORK = "torch"
    def ready(): return sys.modules["torch"].working
    def devices(): return ["CPU:0", "GPU:0"] if ready() else []
    def start(folder, stem, placement=True, kernels=True):
        if os.environ.get("BROKEN"): raise RuntimeError("the observer is broken")
        return folder, stem, time.time()
    def stop(handle):
        folder, stem, began = handle
        with open(os.path.join(folder, stem + ".kineto.json.gz"), "wb") as file:
            file.write(os.urandom(4000) if sys.modules["torch"].working != "idle" else b"nothing")
        return {"seconds": time.time() - began, "source": "torch.profiler", "kernels": stem + ".kineto.json.gz",
                "placement": None, "blind": None, "error": None}
    def final(folder, stem):
        return {"seconds": 0.0, "source": "torch.profiler", "kernels": None, "placement": stem + ".last", "blind": None,
                "error": None}
"""
WORK = "import time, torch\ntorch.working = True\ntime.sleep(0.4)\n"  # long enough for a window to open


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evidence = folder / "evidence"
        self.evidence.mkdir()
        self.payloads = folder / "payloads"
        shutil.copytree(PAYLOADS / "hook", self.payloads / "hook", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PAYLOADS / "parts.py", self.payloads)
        self.write("payloads/observers/torch_observer.py", OBSERVER)
        self.write("lib/torch/__init__.py", TORCH)
        self.write("lib/torch/autograd/__init__.py", "import torch.autograd.profiler")
        self.write("lib/torch/autograd/profiler.py", PROFILER)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def environment(self, more: Mapping[str, str] | None = None, hook: bool = True) -> dict[str, str]:
        path = [str(self.payloads / "hook")] * hook + [str(self.folder / "lib")]
        mine = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path), **(more or {})}
        return {**mine, "GPUCHECK_PROVE": str(self.evidence)} if hook else mine

    def run(
        self,
        script: str,
        *options: str,
        env: Mapping[str, str] | None = None,
        hook: bool = True,
        python: str = sys.executable,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *options, "-c", textwrap.dedent(script)], capture_output=True, text=True,
            env=self.environment(env, hook), cwd=self.folder,
        )  # fmt: skip

    def told(self) -> list[dict[str, Any]]:
        """By their start."""
        found = [json.loads(path.read_text()) for path in self.evidence.glob("p*.json")]
        return sorted(found, key=lambda told: float(told["started"]))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- what must not be felt ---


@pytest.mark.parametrize(
    "script",
    [
        "import sys; print(sys.path, sys.argv, sys.flags)",
        "import threading, sys; print(threading.active_count())",
        "import torch, threading; torch.working = True; import time; time.sleep(0.3); print(threading.active_count())",
        "import importlib, torch; print(importlib.reload(torch) is torch, torch.__loader__.__dict__)",
        "import importlib.util as u; s = u.find_spec('torch'); print(s.name, s.origin, s.submodule_search_locations)",
        "import pkgutil, inspect, torch; print(pkgutil.find_loader('torch').name, inspect.getsource(torch))",
        "raise SystemExit('a word')",
        "import os; os._exit(7)",
        "1/0",
        "import nothing_of_that_name",
        "import warnings; warnings.warn('careful')",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_program_behaves_as_without_the_hook(place: Place, script: str) -> None:
    place.write("lib/sitecustomize.py", "")  # so that there is one in both cases
    bare, hooked = place.run(script, hook=False), place.run(script)
    for text in (place.payloads / "hook", place.folder / "lib"):
        assert str(text) not in hooked.stderr
    same = [(run.returncode, run.stdout, run.stderr) for run in (bare, hooked)]
    assert same[0] == same[1]
    assert (place.evidence / "hooked").read_text().count("\n") == 1


def test_nothing_in_the_hooks_folder_can_be_imported_by_chance(place: Place) -> None:
    for name in ("windows", "process", "thread", "imports"):
        place.write(f"lib/{name}.py", "mine = True")
        assert place.run(f"import {name}; print({name}.mine)").stdout == "True\n"


def test_the_users_own_sitecustomize_runs_once_and_after_ours(place: Place) -> None:
    place.write(
        "lib/sitecustomize.py", "import sys; print('mine', '_gpucheck_hook.imports' in sys.modules, __name__, __file__)"
    )
    expected = f"mine True sitecustomize {place.folder}/lib/sitecustomize.py\nmain sitecustomize\n"
    assert place.run("import sys, sitecustomize; print('main', sitecustomize.__name__)").stdout == expected


def test_an_error_in_the_users_own_is_reported_as_ever(place: Place) -> None:
    place.write("lib/sitecustomize.py", "raise RuntimeError('mine')")
    bare, hooked = place.run("print(1)", hook=False), place.run("print(1)")
    assert "mine" in bare.stderr
    assert (hooked.stdout, hooked.stderr) == (bare.stdout, bare.stderr)


def test_the_start_imports_next_to_nothing(place: Place) -> None:
    """What it costs is measured elsewhere; what it must not load is known."""
    script = "import sys; print(*(set(sys.modules)))"
    added = set(place.run(script).stdout.split()) - set(place.run(script, hook=False).stdout.split())
    assert added <= {"sitecustomize", "_gpucheck_hook", "_gpucheck_hook.imports", "__future__"}


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_a_python_that_does_not_look_is_not_seen(place: Place, option: str) -> None:
    assert place.run("print(1)", option).stdout == "1\n"
    assert not (place.evidence / "hooked").exists()


def test_dash_capital_p_is_fine(place: Place) -> None:
    place.run("print(1)", "-P")
    assert (place.evidence / "hooked").exists()


def test_a_folder_that_is_gone_is_nobodys_trouble(place: Place) -> None:
    shutil.rmtree(place.evidence)
    ran = place.run(WORK + "print(1)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")


def test_a_broken_observer_is_a_problem_of_ours_only(place: Place) -> None:
    ran = place.run(WORK + "print(1)", env={"BROKEN": "1"})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")
    assert "the observer is broken" in " ".join(place.told()[0]["problems"])


def test_an_observer_that_cannot_be_loaded_is_a_problem_of_ours_only(place: Place) -> None:
    place.write("payloads/observers/torch_observer.py", "1/0")
    ran = place.run("import torch; print(torch.__version__)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "9.8.7\n", "")
    told = place.told()[0]
    assert told["frameworks"] == {"torch": "9.8.7"}
    assert "ZeroDivisionError" in " ".join(told["problems"])


# --- what it tells ---


def test_what_a_process_tells(place: Place) -> None:
    ran = place.run(WORK, env={"CUDA_VISIBLE_DEVICES": "2,3"})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    told = place.told()[0]
    assert told["argv"][0] == sys.executable
    assert (told["frameworks"], told["gpu_builds"]) == ({"torch": "9.8.7"}, {"torch": True})
    assert (told["at_work"], told["devices"], told["ended"]) == (["torch"], ["CPU:0", "GPU:0"], True)
    assert told["variables"]["CUDA_VISIBLE_DEVICES"] == "2,3"
    [window] = told["windows"]
    assert window["framework"] == "torch"
    assert 0.1 < window["seconds"] < 5
    assert (place.evidence / window["kernels"]).stat().st_size == 4000
    assert told["final"][0]["placement"] == f"p{told['pid']}.last"
    assert told["overhead_seconds"] > 0
    assert told["problems"] == []


def test_a_variable_that_the_script_sets_itself(place: Place) -> None:
    place.run("import os; os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n" + WORK)
    assert place.told()[0]["variables"]["CUDA_VISIBLE_DEVICES"] == "-1"


def test_no_framework_no_file(place: Place) -> None:
    place.run("import json")
    assert place.told() == []
    assert (place.evidence / "hooked").exists()


def test_a_window_that_saw_nothing_leaves_nothing(place: Place) -> None:
    place.run("import time, torch\ntorch.working = 'idle'\ntime.sleep(0.3)")
    assert place.told()[0]["windows"] == []
    assert list(place.evidence.glob("*.kineto.json.gz")) == []


def test_later_windows_wait_longer_and_longer(place: Place) -> None:
    """With a budget large enough that only the growing distance counts."""
    windows = place.payloads / "hook" / "windows.py"
    windows.write_text(windows.read_text().replace("SHARE = 0.03", "SHARE = 9.0").replace(
        "FIRST, LATER = 1.0, 0.3", "FIRST, LATER = 0.05, 0.05"
    ))  # fmt: skip
    place.run("import time, torch\ntorch.working = True\ntime.sleep(3)")
    assert 4 <= len(place.told()[0]["windows"]) <= 6  # at 0, 0.1, 0.3, 0.7, 1.5 and 3.1 s, or later


def test_a_budget_ends_the_windows(place: Place) -> None:
    windows = place.payloads / "hook" / "windows.py"
    windows.write_text(windows.read_text().replace("FIRST, LATER = 1.0, 0.3", "FIRST, LATER = 0.05, 0.05"))
    place.run("import time, torch\ntorch.working = True\ntime.sleep(1.5)")
    assert len(place.told()[0]["windows"]) == 1  # a second of 50 ms needs 1.7 s of run


def test_a_killed_process_has_told_what_it_knew(place: Place) -> None:
    ran = place.run(WORK + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert ran.returncode == -9
    told = place.told()[0]
    assert (told["frameworks"], told["ended"]) == ({"torch": "9.8.7"}, False)


# --- other processes ---


def test_a_python_child_is_followed(place: Place) -> None:
    place.run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])")
    assert [told["ended"] for told in place.told()] == [True]
    assert (place.evidence / "hooked").read_text().count("\n") == 2


def test_a_fork_tells_of_itself_and_inherits_no_window(place: Place) -> None:
    ran = place.run(
        """
        import os, time, torch
        torch.working = True
        time.sleep(0.3)  # in the window
        child = os.fork()
        time.sleep(0.4)
        if child:
            os.waitpid(child, 0)
        """
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    parent, child = place.told()
    assert child["ppid"] == parent["pid"] != child["pid"]
    assert (parent["ended"], child["ended"]) == (True, True)
    assert child["frameworks"] == {"torch": "9.8.7"}
    assert all(f"p{told['pid']}." in window["kernels"] for told in (parent, child) for window in told["windows"])
    assert parent["windows"]
    assert child["windows"]
    assert child["overhead_seconds"] != parent["overhead_seconds"]


def test_what_was_started_before_a_fork_is_not_touched_in_the_child(place: Place) -> None:
    place.run(
        """
        import os, time, torch
        torch.working = torch.cuda.started = True
        time.sleep(0.2)
        child = os.fork()
        time.sleep(0.3)
        if child:
            os.waitpid(child, 0)
        """
    )
    child = place.told()[1]
    assert child["windows"] == []
    assert "forked after torch had been started" in child["problems"][0]


def test_a_loaders_worker_opens_no_window_before_it_knows_what_it_is(place: Place) -> None:
    place.write("lib/torch/utils/__init__.py", "")
    place.write("lib/torch/utils/data/__init__.py", "def get_worker_info(): return None  # not yet")
    place.write("lib/torch/utils/data/_utils/__init__.py", "")
    place.write("lib/torch/utils/data/_utils/worker.py", "import time\ndef _worker_loop(): time.sleep(0.4)")
    ran = place.run(
        WORK + "import multiprocessing, torch.utils.data\n"
        "from torch.utils.data._utils.worker import _worker_loop\n"
        "worker = multiprocessing.get_context('fork').Process(target=_worker_loop)\n"
        "worker.start(); worker.join(); print(worker.exitcode)"
    )
    assert (ran.stdout, ran.stderr) == ("0\n", "")
    parent, worker = place.told()
    assert parent["windows"]
    assert worker["windows"] == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("first", ["", "import torch\n"])
def test_children_of_multiprocessing_tell_their_end(place: Place, method: str, first: str) -> None:
    script = place.write(
        "main.py",
        f"""
{textwrap.indent(first, "        ")}
        import multiprocessing
        def work():
            import time, torch
            torch.working = True
            time.sleep(0.3)
        if __name__ == "__main__":
            child = multiprocessing.get_context("{method}").Process(target=work)
            child.start()
            child.join()
            print(child.exitcode)
        """,
    )
    ran = subprocess.run([sys.executable, str(script)], env=place.environment(), capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("0\n", "")
    workers = [told for told in place.told() if told["windows"]]
    assert [worker["ended"] for worker in workers] == [True]


def test_after_exec_the_same_process_tells_anew(place: Place) -> None:
    place.run(f"import os, sys, torch; os.execv(sys.executable, [sys.executable, '-c', {WORK!r}])")
    before, after = place.told()
    assert before["pid"] == after["pid"]
    assert (before["ended"], after["ended"]) == (False, True)


def test_a_fork_of_a_worker_that_never_ends_python(place: Place) -> None:
    place.run("import os, torch\nif not os.fork(): os._exit(0)\nos.wait()")
    assert [told["ended"] for told in place.told()] == [True, False]


# --- the program's own profiler ---


def test_the_programs_own_profiler_has_the_way_free(place: Place) -> None:
    ran = place.run(
        """
        import time, torch, torch.autograd.profiler
        torch.working = True
        time.sleep(0.2)  # in the window
        print(torch.autograd.profiler._enable_profiler())
        time.sleep(0.2)
        """
    )
    assert (ran.stdout, ran.stderr) == ("enabled\n", "")
    told = place.told()[0]
    assert told["windows"][0]["seconds"] < 0.4
    assert "a profiler of its own" in told["problems"][0]
    assert (place.evidence / "profiler-is-wanted").exists()


# --- other Pythons ---


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13", "3.14"])
def test_other_pythons(place: Place, version: str, other_python: Callable[[str], str]) -> None:
    python = other_python(version)
    place.write("lib/sitecustomize.py", "print('mine', flush=True)")
    ran = place.run(WORK + "import os; os.fork() and os.wait(); print(torch.__version__)", python=python)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "mine\n9.8.7\n9.8.7\n", "")
    assert [told["ended"] for told in place.told()] == [True, True]
    assert place.told()[0]["windows"]


@pytest.fixture
def other_python() -> Callable[[str], str]:
    def find(version: str) -> str:
        roots = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}")
        found = next(map(str, roots), None) or shutil.which(f"python{version}")
        if found is None or subprocess.run([found, "-c", ""], capture_output=True).returncode:
            pytest.skip(f"not run: no Python {version} here")
        return found

    return find


@pytest.mark.parametrize("options", [(), ("-u",)], ids=["buffered", "unbuffered"])
def test_what_c_prints_comes_a_line_at_a_time(options: tuple[str, ...]) -> None:
    program = "import ctypes\nfrom hook import marks\nmarks.whole_lines()\nlibc = ctypes.CDLL(None)\n"
    program += "for word in (b'one ', b'line\\n', b'another ', b'line\\n'): libc.printf(word)\n"
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # a message is what was written at once
    with here, there:
        env = {**os.environ, "PYTHONPATH": str(PAYLOADS), "PYTHONUNBUFFERED": ""}
        subprocess.run([sys.executable, *options, "-c", program], stdout=there.fileno(), env=env, check=True)
        assert [here.recv(100) for _ in range(2)] == [b"one line\n", b"another line\n"]
