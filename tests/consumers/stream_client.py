"""A client of the stream: the site as an ASGI application, and what an EventSource does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.test import Client

SECONDS = 10


@dataclass(frozen=True)
class Message:
    """One message of a stream, as EventSource dispatches it."""

    kind: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@sync_to_async
def cookie_of(user: Any) -> str:
    """The cookie of somebody who has just logged in; empty for None."""
    if user is None:
        return ""
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


class Parser:
    """Parses a stream as the HTML standard says (9.2.6), from bytes that may end anywhere."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry = 0
        self._buffer = b""
        self._kind, self._data, self._id = "", "", last_id

    def feed(self, chunk: bytes) -> list[Message]:
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        return [message for line in lines if (message := self._line(line.decode())) is not None]

    def _line(self, line: str) -> Message | None:
        if not line:
            self.last_id = self._id
            kind, data, self._kind, self._data = self._kind, self._data, "", ""
            return Message(kind or "message", data[:-1], self.last_id) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._kind = value
        elif field == "data":
            self._data += value + "\n"
        elif field == "id":
            self._id = value
        elif field == "retry":
            self.retry = int(value)
        return None


class Source:
    """One connection. `messages` has what came; it is cut after `cut` bytes of its body."""

    def __init__(self, application: Any, last_id: str, cut: int | None = None) -> None:
        self._application = application
        self._left = cut
        self._gone = asyncio.Event()
        self._came = asyncio.Event()
        self._scope: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self.parser = Parser(last_id)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.messages: list[Message] = []
        self.reads = asyncio.Event()
        self.reads.set()

    def start(self, query: str, cookie: str, last_id: str, **headers: str) -> None:
        given = {"host": "testserver", "cookie": cookie, "last-event-id": last_id, **headers}
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/live/",
            "query_string": query.encode(),
            "headers": [(name.encode(), text.encode()) for name, text in given.items() if text],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        self._task = asyncio.create_task(self._application(self._scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode() for name, value in message["headers"]
            }
        elif not self._gone.is_set():
            chunk = message.get("body", b"")
            if self._left is not None:
                chunk = chunk[: self._left]
                self._left -= len(chunk)
                if self._left == 0:
                    self._gone.set()
            self.body += chunk
            self.messages += self.parser.feed(chunk)
        self._came.set()

    @property
    def ended(self) -> bool:
        assert self._task is not None
        return self._task.done()

    async def until(self, wanted: Any) -> Any:
        """What `wanted` returns of this connection, once it is true. Fails if the end comes."""
        async with asyncio.timeout(SECONDS):
            while not (found := wanted(self)):
                assert not self.ended, f"the stream ended: {self.status} {self.body[-300:]!r}"
                await self._next()
        return found

    async def _next(self) -> None:
        assert self._task is not None
        coming = asyncio.create_task(self._came.wait())
        await asyncio.wait([coming, self._task], return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()
        self._came.clear()

    async def kind(self, kind: str, count: int = 1) -> Message:
        """The message of that kind, waited for; with `count`, that many of them, the last one."""
        found = await self.until(
            lambda source: (of_kind := source.of(kind))[count - 1 :] and of_kind
        )
        last: Message = found[count - 1]
        return last

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message.kind == kind]

    async def end(self) -> None:
        """Wait until the server has ended it."""
        assert self._task is not None
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([self._task])
        if not self._task.cancelled():  # So newer Djangos end what is cut off.
            self._task.result()

    async def close(self) -> None:
        self._gone.set()
        await self.end()


def address(*channels: Any, **more: str) -> str:
    """The query that asks for conversations, or for channels by name."""
    names = [each if isinstance(each, str) else f"turnlog-{each.pk}" for each in channels]
    return urlencode([*(("channel", name) for name in names), *more.items()])


def beginning(conversation: Any) -> str:
    return f"{quote(f'turnlog-{conversation.pk}')}:0"


@contextlib.asynccontextmanager
async def following(
    cookie: str, query: str, last_id: str = "", cut: int | None = None, **headers: str
) -> AsyncIterator[Source]:
    source = Source(ASGIHandler(), last_id, cut)
    source.start(query, cookie, last_id, **headers)
    try:
        yield source
    finally:
        source.reads.set()
        await source.close()
