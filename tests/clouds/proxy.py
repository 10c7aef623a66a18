"""A proxy in front of an emulator: it counts the calls, and cuts a client off in the middle of one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Proxy(ThreadingHTTPServer):
    """`calls` are (method, path) in their order. `kill`: the process to end and at which call, before or after it."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = urlsplit(upstream)
        self.calls: list[tuple[str, str]] = []
        self.kill: tuple[int, int, bool] | None = None  # pid, call, whether the emulator carries that call out
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def counted(self, method: str, path: str) -> tuple[int, bool] | None:
        """(pid to kill, whether to carry this call out first), or None: go on."""
        with self.lock:
            self.calls.append((method, path))
            if self.kill and len(self.calls) >= self.kill[1]:
                return self.kill[0], self.kill[2] and len(self.calls) == self.kill[1]
        return None


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for the first one's acknowledgement
    server: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kill = self.server.counted(self.command, self.path)
        if kill and not kill[1]:
            os.kill(kill[0], signal.SIGKILL)
            self.close_connection = True
            return
        upstream = HTTPConnection(self.server.upstream.hostname or "", self.server.upstream.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        if kill:
            os.kill(kill[0], signal.SIGKILL)
            self.close_connection = True
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _forward  # noqa: N815 - http.server's names


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    server = Proxy(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
