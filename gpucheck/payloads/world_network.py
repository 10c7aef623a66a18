"""How a node finds the others: their names, and the network interface that leads to them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from pathlib import Path

from .world import World

NO_PROXY = "no_grpc_proxy"  # gRPC looks at it first, and in small letters alone
INTERFACE_ADDRESS = 0x8915  # SIOCGIFADDR


def await_names(asked: World, seconds: float) -> None:
    """Until every host has an address: a pod's name has none before it runs. Raises OSError."""
    until = time.monotonic() + seconds
    for host in asked.hosts:
        while True:
            try:
                socket.getaddrinfo(host, asked.port)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise OSError(f"{host} has no address here: {error.strerror or error}") from error
                time.sleep(1)


def past_proxies(asked: World) -> None:
    """gRPC, by which JAX and TensorFlow meet, asks the web's proxy (http_proxy) for the other nodes as well."""
    had = os.environ.get(NO_PROXY) or os.environ.get("no_proxy")
    os.environ[NO_PROXY] = ",".join([*([had] if had else []), *asked.hosts])


def interface(asked: World) -> str | None:
    """The one that leads to the other nodes; None where that cannot be told.

    gloo takes the one that has the address of the machine's own name, and in Debian's /etc/hosts that is 127.0.1.1.
    """
    others = [host for node, host in enumerate(asked.hosts) if node != asked.node]
    try:
        kind, _, _, _, address = socket.getaddrinfo(others[0], asked.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as asking:
            asking.connect(address)  # nothing is sent: it only chooses the way
            mine = asking.getsockname()[0]
            if kind == socket.AF_INET6:
                rows = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
                wanted = socket.inet_pton(kind, mine.split("%")[0]).hex()
                return next((row[5] for row in rows if row[0] == wanted), None)
            return next((name for _, name in socket.if_nameindex() if _address(asking, name) == mine), None)
    except (OSError, IndexError):
        return None


def _address(asking: socket.socket, name: str) -> str | None:
    try:
        return socket.inet_ntoa(fcntl.ioctl(asking, INTERFACE_ADDRESS, struct.pack("256s", name.encode()))[20:24])
    except OSError:  # it has none
        return None
