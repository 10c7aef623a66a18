"""A container's output, line by line, as the engine's log has it.

docker-py reads it too, but leaves the socket open.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


def output(client: DockerClient, container: Container, **which: int) -> Generator[str]:
    """The lines of a container's output, as the engine's log has them: with follow=1 until it ends."""
    url = f"{client.api.base_url}/v{client.api.api_version}/containers/{container.id}/logs"
    with client.api.get(url, params={"stdout": 1, "stderr": 1, **which}, stream=True) as output:
        yield from split(output.iter_content(None))


def split(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of an engine's log stream: frames of the stream's number (1 byte), 3 zeros, the size (4), the content."""
    frames, rest = b"", {1: b"", 2: b""}
    for chunk in chunks:
        frames += chunk
        while len(frames) >= 8 and len(frames) >= 8 + (size := int.from_bytes(frames[4:8])):
            stream, content, frames = frames[0], frames[8 : 8 + size], frames[8 + size :]
            *lines, rest[stream] = (rest[stream] + content).split(b"\n")
            yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
    yield from (line.decode("utf-8", "replace") for line in rest.values() if line)
