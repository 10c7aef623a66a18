"""scripts/refresh against a small index on this machine: wheels made here, served with and without ranges."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpucheck import tables
from gpucheck.facts import Version
from refresh.device_code import CHUNK, DeviceCode, capabilities

ROOT = Path(__file__).parent.parent
FILLER = random.Random(4).randbytes(3_000_000)  # noqa: S311


class Server(ThreadingHTTPServer):
    """Pages and files by path. `sent` is how many bytes of files went out."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.sent = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, *wheels: tuple[str, bytes], as_json: bool = True) -> None:
        """The page of a project and its wheels."""
        project = wheels[0][0].partition("-")[0].replace("_", "-")
        for name, data in wheels:
            self.files[f"/files/{name}"] = data
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in wheels}
        listed = [{"filename": n, "url": f"../../files/{n}", "hashes": {"sha256": s}} for n, s in sums.items()]
        links = "".join(f'<a href="../../files/{name}#sha256={one}">{name}</a>' for name, one in sums.items())
        page = ("application/vnd.pypi.simple.v1+json", json.dumps({"files": listed}).encode())
        self.pages[f"/simple/{project}/"] = page if as_json else ("text/html", links.encode())


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        kind, data = self.server.pages.get(self.path, ("application/octet-stream", self.server.files.get(self.path)))
        if data is None:
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        part = data
        if asked and self.server.ranges:
            first = int(asked[1]) if asked[1] else max(len(data) - int(asked[2]), 0)
            part = data[first : int(asked[2]) + 1 if asked[1] else None]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        self.server.sent += len(part) if self.path in self.server.files else 0

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def wheel(name: str, version: str, tag: str, members: Mapping[str, bytes], requires: str = "") -> tuple[str, bytes]:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in members.items():
            archive.writestr(path, text)
        lines = "".join(f"Requires-Dist: {line}\n" for line in requires.splitlines())
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n{lines}")
    return f"{name}-{version}-{tag}.whl", data.getvalue()


def torch(version: str, python: str, cuda: str = "14.1") -> tuple[str, bytes]:
    members = {
        "torch/lib/libtorch_cuda.so": FILLER,  # what nobody needs to fetch
        "torch/version.py": f"__version__ = '{version}'\ncuda: Optional[str] = '{cuda}'\n".encode(),
        "torch/lib/libtorch_python.so": bytes(CHUNK - 8) + b"\0sm_75 sm_90 sm_120 compute_120\0" + bytes(CHUNK),
        "torch/lib/other.so": FILLER,
    }
    requires = f'cuda-toolkit[cublas]=={cuda}.2; platform_system == "Linux"\nnvidia-cudnn-cu14==10.1.0.7'
    return wheel("torch", version, f"{python}-{python}-manylinux_2_28_x86_64", members, requires)


def refresh(server: Server | None, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.lower().startswith(("pip_", "uv_")) and "proxy" not in k.lower()
    }
    index = {"PIP_INDEX_URL": f"{server.address}/simple"} if server else {}
    command = (sys.executable, "-m", "refresh", *words)
    environment = kept | {"PIP_CONFIG_FILE": os.devnull} | index | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "html"])
def test_a_new_release_is_a_row_that_the_table_takes(server: Server, tmp_path: Path, as_json: bool) -> None:
    wheels = torch("99.0.0", "cp312"), torch("99.1.0", "cp312"), torch("99.1.1", "cp312"), torch("99.1.1", "cp313")
    before = wheel("torch", "99.2.0rc1", "cp312-cp312-manylinux_2_28_x86_64", {})
    server.add(*wheels, torch("2.15.0", "cp312"), torch("2.3.0", "cp312"), before, as_json=as_json)
    done = refresh(server, "torch")
    assert (done.returncode, done.stderr) == (0, "")
    found = tomllib.loads(done.stdout)["build"]
    assert [row["version"] for row in found] == ["99.0", "99.1"]  # not those there, not what is older, no rc
    assert found[1]["pythons"] == ["3.12", "3.13"]
    for path in tables.FOLDER.glob("*.toml"):
        shutil.copy(path, tmp_path)
    table = tmp_path / "frameworks.toml"
    table.write_text(f"{done.stdout}{table.read_text()}")
    row = tables.read(tmp_path)["builds"][1]
    assert (row.name, row.cuda, row.cudnn, row.ptx) == ("torch", Version("14.1.2"), Version("10.1"), Version("12.0"))
    assert row.sass == (Version("7.5"), Version("9.0"), Version("12.0"))
    assert server.sent < sum(len(data) for _, data in wheels) / 2


def test_a_row_that_is_there_is_confirmed_or_said_to_differ(server: Server) -> None:
    build = "build_info = collections.OrderedDict([('cuda_compute_capabilities', {}), ('cuda_version', '12.5.1')])"
    archs = {"2.20.0": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"], "2.21.0": ["sm_60", "compute_100"]}
    server.add(*(
        wheel("tensorflow", version, f"cp31{minor}-cp31{minor}-manylinux_2_27_x86_64",
              {"tensorflow/python/platform/build_info.py": build.format(found).encode()},
              "nvidia-cudnn-cu12<10.0,>=9.3.0.75; extra == 'and-cuda'")
        for version, found in archs.items() for minor in range(4)
    ))  # fmt: skip
    assert refresh(server, "tensorflow").stdout.startswith("# nothing to add: ")
    done = refresh(server, "tensorflow", "--confirm")
    assert done.returncode == 0
    assert tomllib.loads(done.stdout) == {}  # comments alone
    assert '# tensorflow 2.20.0: the row differs\n#   pythons: ["3.9", "3.10"' in done.stdout
    assert "# tensorflow 2.21.0: the row differs\n#   sass: " in done.stdout
    assert '"9.0"] in the row, ["6.0", "10.0"] in the wheel' in done.stdout


def test_a_lock_takes_what_its_wheels_take(server: Server, tmp_path: Path) -> None:
    good = wheel("big", "1.0", "cp312-cp312-manylinux_2_17_x86_64", {"big/a": FILLER, "big/zeros": bytes(2_000_000)})
    newer = wheel("big", "1.0", "cp312-cp312-manylinux_2_28_x86_64", {"big/a": FILLER * 2})
    other = wheel("big", "1.0", "cp311-cp311-manylinux_2_17_x86_64", {"big/a": FILLER * 3})
    server.add(good, newer, other)
    server.add(wheel("small_one", "2.0", "py3-none-any", {"small/a": bytes(4_000_000)}))
    sums = {
        data: hashlib.sha256(data).hexdigest()
        for data in (good[1], other[1], server.files["/files/small_one-2.0-py3-none-any.whl"])
    }
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# a lock\nbig==1.0 ; python_version >= '3.12' \\\n"
        + " \\\n".join(f"    --hash=sha256:{one}" for one in sums.values()) + "\n    # via you\n"
        + "".join(f"small-one==2.0 \\\n    --hash=sha256:{one}\n" for one in list(sums.values())[2:])
        + "absent==1 ; sys_platform == 'win32' \\\n    --hash=sha256:" + "0" * 64 + "\n"
    )  # fmt: skip
    done = refresh(server, "--sizes", str(lock))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "# lock.txt: 2 wheels for Python 3.12\ndownload = 3\ninstalled = 9\n\n"
    assert server.sent < 1_000_000
    done = refresh(server, "--sizes", str(lock), "--python", "3.13")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no wheel of big==1.0 for Python 3.13 on Linux x86_64\ntip: " in done.stderr


def test_a_folder_is_an_index_too(tmp_path: Path) -> None:
    name, data = torch("99.0.0", "cp312")
    (tmp_path / name).write_bytes(data)
    done = refresh(None, "torch==99.0.0", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert 'source = "the wheel torch 99.0.0"' in done.stdout, done.stderr


def test_a_server_without_ranges_is_said(server: Server) -> None:
    server.ranges = False
    server.add(torch("99.0.0", "cp312"))
    done = refresh(server, "torch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("127.0.0.1 serves no parts of files (it answered 200 to a range request)\ntip: ")


def test_an_index_out_of_reach_is_one_sentence() -> None:
    with Server() as closed:
        pass
    done = refresh(closed)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"127\.0\.0\.1 was not reached: Connection refused\ntip: .*\n", done.stderr)


def test_what_is_not_there_or_not_a_wheel_is_said(server: Server, tmp_path: Path) -> None:
    done = refresh(server, "torch")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "127.0.0.1 has no wheel of torch")
    server.add(("torch-99.0.0-cp312-cp312-manylinux_2_28_x86_64.whl", b"<html>"))
    done = refresh(server, "torch")
    assert (done.returncode, "is no wheel" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    done = refresh(server, "--sizes", str(tmp_path / "none.txt"))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"{tmp_path}/none.txt was not read: No such file or directory",
    )
    server.add(wheel("numpy", "1.0", "cp312-cp312-manylinux_2_28_x86_64", {}))
    done = refresh(server, "numpy")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "what numpy's wheels were built for is not read here")


@pytest.mark.parametrize("there", [True, False])
def test_the_digests_are_asked_of_the_engine(server: Server, there: bool) -> None:
    server.pages["/version"] = ("application/json", json.dumps({"ApiVersion": "1.44"}).encode())
    base = "python:3.12-slim-bookworm"
    if there:
        answer = json.dumps({"Descriptor": {"digest": "sha256:123abc"}}).encode()
        server.pages[f"/v1.44/distribution/{base}/json"] = ("application/json", answer)
    done = refresh(server, "--digests", DOCKER_HOST=server.address.replace("http", "tcp"))
    assert done.returncode == (0 if there else 1)
    assert done.stdout == (f'base = "{base}@sha256:123abc"\n' if there else "")
    assert there or done.stderr.startswith(f"the engine was told no digest of {base}: ")


def entry(kind: int, capability: int, code: bytes) -> bytes:
    return struct.pack("<HHIQIIHHI", kind, 1, 64, len(code), 0, 0, 0, 1, capability) + bytes(32) + code


@pytest.mark.parametrize("before", [0, 100, CHUNK - 90, CHUNK - 9, CHUNK - 4, CHUNK])
def test_device_code_is_found_wherever_a_chunk_ends(before: int) -> None:
    entries = (
        entry(2, 75, b"a" * 80) + entry(1, 120, b"Cuda compilation tools, release 12.9, V12.9.86") + entry(2, 101, b"")
    )
    fat = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries
    code = DeviceCode()
    code.add(io.BytesIO(bytes(before) + fat + bytes(CHUNK) + fat[:30]))
    assert (capabilities(code.sass), capabilities(code.ptx), code.made_by) == (("7.5", "10.1"), ("12.0",), {"12.9"})
