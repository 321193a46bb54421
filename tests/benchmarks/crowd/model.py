"""A model server that says when it says something: each token is the time in ns, and a space.

python -m tests.benchmarks.crowd.model <port> <tokens> <tokens a second>
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: close\r\n\r\n"
)


async def serve(port: int, tokens: int, rate: float) -> None:
    answer = partial(_answer, tokens=tokens, rate=rate)
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tokens: int, rate: float
) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return writer.close()  # Somebody looked whether it is there.
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    await reader.readexactly(length)
    writer.write(HEAD)
    begun = time.monotonic()
    for number in range(tokens):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        _write(writer, _chunk(f"{time.monotonic_ns()} "))
    _write(writer, _chunk("", "stop"))
    _write(writer, b"data: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    writer.close()


def _chunk(text: str, finish_reason: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "crowd",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
