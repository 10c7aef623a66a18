"""The programs that are observed. They import nothing of gpucheck and report without judging."""

import importlib.util
import sys

if importlib.util.find_spec("numpy") is None:  # said in one line, before the first of them is imported
    print(f"the payload needs numpy, and there is none in {sys.executable}", flush=True)  # noqa: T201
    sys.exit(1)
