"""Runs a notebook's cells from the first to the last, and prints what they put out, as it comes.

    python notebook.py NOTEBOOK.ipynb

By nbclient, in the notebook's own kernel and in its own folder; the notebook stays as it is. Exit code 1 where a cell
fails.
"""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.pop(0)  # this folder: its modules are not the notebook's
# What C code prints, such as TensorFlow's placement lines, goes to the kernel's own stdout and stderr, which are ours.
# By default ipykernel would send it on a second time in its messages, and its pieces of lines would tear both.
KERNEL = ["--IPKernelApp.capture_fd_output=False"]


def main(path: str) -> int:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    class Client(NotebookClient):
        def output(self, outs: Any, msg: Any, display_id: Any, cell_index: Any) -> Any:
            show(msg["header"]["msg_type"], msg["content"])
            return super().output(outs, msg, display_id, cell_index)

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    folder = os.path.dirname(os.path.abspath(path))
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    arguments = KERNEL if language == "python" else []
    client = Client(notebook, timeout=None, resources={"metadata": {"path": folder}}, extra_arguments=arguments)
    try:
        client.execute()
    except CellExecutionError:  # its traceback has been printed
        return 1
    return 0


def show(kind: str, content: dict[str, Any]) -> None:
    stream = sys.stderr if kind == "error" or content.get("name") == "stderr" else sys.stdout
    if kind == "stream":
        stream.write(content["text"])
    elif kind == "error":
        stream.write("\n".join([*content["traceback"], ""]))
    elif "text/plain" in content.get("data", {}):
        stream.write(f"{content['data']['text/plain']}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
