"""A proxy in front of an emulator: it counts the calls, and cuts a client off in the middle of one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.serving import Server, running

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Proxy(Server):
    """`calls` are (method, path) in their order. `kill`: the process to end and at which call, before or after it."""

    def __init__(self, upstream: str, routes: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = urlsplit(upstream)
        self.routes = {start: urlsplit(address) for start, address in routes.items()}
        self.calls: list[tuple[str, str]] = []
        self.kill: tuple[int, int, bool] | None = None  # pid, call, whether the emulator carries that call out
        self.lock = threading.Lock()

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

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):  # another call of it, at the same time, was quicker
            os.kill(pid, signal.SIGKILL)
        self.close_connection = True

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kill = self.server.counted(self.command, self.path)
        if kill and not kill[1]:
            self._kill(kill[0])
            return
        routes = (to for start, to in self.server.routes.items() if self.path.startswith(start))
        to = next(routes, self.server.upstream)
        upstream = HTTPConnection(to.hostname or "", to.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        if kill:
            self._kill(kill[0])
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
def proxy(upstream: str, **routes: str) -> Iterator[Proxy]:
    """`routes`: where else what begins so goes, by the start of its path."""
    with running(Proxy(upstream, {f"/{start}": to for start, to in routes.items()})) as server:
        yield server
