"""A model server of exact bytes: each request is answered with the next script."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

Script = Sequence[bytes]


class Model:
    """A running server, and the bodies of the requests that it has had."""

    def __init__(self, scripts: Sequence[Script], status: str, kind: str) -> None:
        self._kind = kind
        self._scripts = list(scripts)
        self._status = status
        self.requests: list[dict[str, Any]] = []
        self.url = ""
        self.gone = asyncio.Event()
        """Set once a client has left before its answer's end."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        [length] = [
            int(line.split(":")[1]) for line in head.split("\r\n") if "content-length" in line
        ]
        self.requests.append(json.loads(await reader.readexactly(length)))
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        writer.write(f"HTTP/1.1 {self._status}\r\ncontent-type: {self._kind}\r\n".encode())
        writer.write(b"connection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for part in script:
                if part == ENDLESS:
                    await reader.read()  # Until the client hangs up.
                    self.gone.set()
                    break
                writer.write(part)
                await writer.drain()
        writer.close()


EVENTS = "text/event-stream"
ENDLESS = b"(nothing more, and no end)"


@contextlib.asynccontextmanager
async def answering(
    *scripts: Script, status: str = "200 OK", kind: str | None = EVENTS
) -> AsyncIterator[Model]:
    """Run a server; the last script answers all further requests. Without a `kind`, it is JSON."""
    model = Model(scripts, status, kind or "application/json")
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield model
    finally:
        server.close()


def event(data: Any, name: str = "") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
