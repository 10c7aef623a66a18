"""Python runs this at its start, because `gpucheck prove` put its folder in front of PYTHONPATH.

It makes room for the user's own sitecustomize, if there is one, and runs that after itself, once.
"""

import os
import sys
from time import perf_counter, time

BEGAN = perf_counter()
HERE = os.path.dirname(os.path.abspath(__file__))


def start(folder: str) -> None:
    """From here on the import of a framework is noticed. The other modules bear a private name and load when needed."""
    trouble = ""
    try:
        package = type(sys)("_gpucheck_hook")
        package.__path__ = [HERE]
        sys.modules[package.__name__] = package
        imports = __import__(f"{package.__name__}.imports", fromlist=["FINDER"])
        imports.FINDER.watch(folder, time(), BEGAN)
    except Exception as error:  # noqa: BLE001 - the program that starts here must start as it would without us
        trouble = f"{type(error).__name__}: {error}".replace("\n", " ")
    with open(os.path.join(folder, "hooked"), "ab", 0) as file:
        file.write(f"{os.getpid()}\t{trouble}\n".encode("utf-8", "replace"))


def make_room() -> None:
    """sys.path as it would be without us: nothing in this folder can be imported by chance."""
    sys.path[:] = [entry for entry in sys.path if entry != HERE]
    sys.path_importer_cache.pop(HERE, None)


def run_the_users_own() -> None:
    """What it raises is its own affair: Python reports it as it always does."""
    ours = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours


make_room()
if "GPUCHECK_PROVE" in os.environ and "_gpucheck_hook" not in sys.modules:  # one `prove` in another: the inner one's
    try:  # noqa: SIM105 - contextlib takes a millisecond to import
        start(os.environ["GPUCHECK_PROVE"])
    except OSError:  # the folder is gone, or another user's: nowhere to write anything down
        pass
if __name__ == "sitecustomize":
    run_the_users_own()
