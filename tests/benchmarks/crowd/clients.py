"""The crowd: many sockets in one process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence

from websockets.asyncio.client import ClientConnection, connect

Delays = list[float]
"""Milliseconds from when the model server wrote a token until a client had it, in order."""


class Lost(Exception):
    """A token did not arrive, or not in its place."""


async def ask_bare(url: str, session: str, tokens: int, pause: float) -> Delays:
    """Ask the barest consumer."""
    async with _connected(url, session) as socket:
        await asyncio.sleep(pause)
        await socket.send("Hello")
        heard = _Heard(tokens)
        while (text := await _next(socket)) != "end":
            heard.add(str(text))
        return heard.delays()


async def ask(url: str, session: str, tokens: int, pause: float) -> Delays:
    """Ask turnlog's chat."""
    async with _connected(url, session) as socket:
        await asyncio.sleep(pause)
        await socket.send(json.dumps({"user_text": "Hello"}))
        heard = _Heard(tokens)
        while True:
            frame = json.loads(await _next(socket))
            if frame.get("role") == "assistant":
                if frame["mode"] != "append":
                    heard.text = ""
                heard.add(frame["content"])
            elif frame.get("type") == "turn" and frame["outcome"] != "open":
                if frame["outcome"] != "completed":
                    raise Lost(frame)
                return heard.delays()


class _Heard:
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.text = ""
        self._at: list[tuple[int, int]] = []

    def add(self, text: str) -> None:
        self.text += text
        whole = self.text.rfind(" ") + 1
        self._at.append((self.text.count(" ", 0, whole), time.monotonic_ns()))

    def delays(self) -> Delays:
        said = [int(token) for token in self.text.split()]
        if len(said) != self.tokens or said != sorted(said):
            raise Lost(f"expected {self.tokens} tokens in order, found {len(said)}")
        delays, known = [], 0
        for count, at in self._at:
            delays += [(at - token) / 1e6 for token in said[known:count]]
            known = max(known, count)
        return delays


async def crowd(
    asking: object, urls: Sequence[str], sessions: Sequence[str], tokens: int, seconds: float
) -> list[Delays]:
    """All at once, but for beginnings that are spread over some seconds."""
    count = len(urls)
    return list(
        await asyncio.gather(
            *(
                asking(url, session, tokens, 2 + seconds * number / count)  # type: ignore[operator]
                for number, (url, session) in enumerate(zip(urls, sessions, strict=True))
            )
        )
    )


def _connected(url: str, session: str) -> connect:
    cookie = {"Cookie": f"sessionid={session}"}
    return connect(
        url, additional_headers=cookie, proxy=None, open_timeout=120, max_size=None, max_queue=None
    )


async def _next(socket: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(socket.recv(), 120)


@contextlib.asynccontextmanager
async def idle(urls: Sequence[str], sessions: Sequence[str]) -> AsyncIterator[None]:
    """Clients that are connected, have heard whatever they are greeted with, and say nothing."""
    sockets = []
    for start in range(0, len(urls), 50):
        part = zip(urls[start : start + 50], sessions[start : start + 50], strict=True)
        sockets += await asyncio.gather(*(_connected(*pair) for pair in part))
    # An echo answers this, and a chat after its greeting.
    await asyncio.gather(*(socket.send('{"type": "ping"}') for socket in sockets))
    await asyncio.gather(*map(_ponged, sockets))
    yield
    await asyncio.gather(*(socket.close() for socket in sockets))


async def _ponged(socket: ClientConnection) -> None:
    while json.loads(await _next(socket))["type"] not in ("ping", "pong"):
        pass
