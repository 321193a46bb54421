"""Requests to Django's own ASGI application, with its middleware, as a server makes them."""

from __future__ import annotations

import asyncio
import json
import types
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.asgi import ASGIHandler
from django.urls import path

from turnlog.core.asynchronous import in_database_thread

TOKEN = "a" * 32
PATIENCE = 10


@in_database_thread
def signed_in(user: Any) -> str:
    """A session's key."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def urls_of(view: Any) -> types.ModuleType:
    """A URLconf with a chat, for settings.ROOT_URLCONF."""
    module = types.ModuleType("urls_of_a_chat")
    module.urlpatterns = [  # type: ignore[attr-defined]
        path("chat/<int:conversation_pk>/", view.as_view()),
        path("chat/", view.as_view()),
        path("login/", view.as_view(), name="login"),
    ]
    return module


class Event(dict[str, str]):
    """An event of a stream: its fields, as they were sent."""

    @property
    def frame(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self["data"])
        return parsed


class Exchange:
    """One request and what is answered to it, piece by piece."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self._scope = scope
        self._given = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = asyncio.Event()
        self._sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._text = ""
        self.unread = asyncio.Event()
        """Set: the client does not read any more."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await ASGIHandler()(self._scope, self._receive, self._send)
        finally:
            self._sent.put_nowait(None)

    async def _receive(self) -> Any:
        if self._given:
            return self._given.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.unread.is_set():
            await asyncio.Event().wait()
        self._sent.put_nowait(message)

    async def begun(self) -> Exchange:
        """Wait for status and headers."""
        message = await self._next()
        assert message is not None
        assert message["type"] == "http.response.start"
        self.status = message["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
        return self

    async def _next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self._sent.get()

    async def body(self) -> str:
        while (message := await self._next()) is not None:
            self._text += message.get("body", b"").decode()
        await self.over()
        return self._text

    async def event(self) -> Event | None:
        """The next event that has data; None at the end."""
        while True:
            while "\n\n" not in self._text:
                message = await self._next()
                if message is None:
                    await self.over()
                    return None
                self._text += message.get("body", b"").decode()
            block, _, self._text = self._text.partition("\n\n")
            event = Event()
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                event[name] = f"{event[name]}\n{value}" if name in event else value
            if "data" in event:
                return event

    async def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """The events up to and with the first that is wanted, or the last."""
        events: list[Event] = []
        while (event := await self.event()) is not None:
            events.append(event)
            if wanted(event):
                break
        return events

    async def until_answered(self) -> list[Event]:
        return await self.until(is_end_of_turn)

    async def all(self) -> list[Event]:
        return await self.until(lambda event: False)

    async def leave(self) -> None:
        """Close the connection, and wait until the server has ended the request."""
        self._left.set()
        await self.over()

    async def over(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([self._task])
        if not self._task.cancelled():  # So newer Djangos end what is cut off.
            self._task.result()


def is_end_of_turn(event: Event) -> bool:
    if "event" in event:
        return False
    frame = event.frame
    return frame.get("type") == "turn" and frame["outcome"] != "open"


class Browser:
    """A person's browser: a session and a CSRF token, or nobody's."""

    def __init__(self, user: Any = None, token: str | None = TOKEN) -> None:
        self._user = user
        self._token = token
        self.session = ""

    async def ask(
        self, method: str, url: str, body: Any = b"", headers: dict[str, str] | None = None
    ) -> Exchange:
        """Make a request, and wait for the answer's status."""
        if self._user is not None and not self.session:
            self.session = await signed_in(self._user)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        cookies = [f"csrftoken={TOKEN}"]
        if self.session:
            cookies.append(f"{settings.SESSION_COOKIE_NAME}={self.session}")
        given = {
            "host": "testserver",
            "cookie": "; ".join(cookies),
            "content-type": "application/json",
            "content-length": str(len(content)),
            **({"x-csrftoken": self._token} if self._token else {}),
            **(headers or {}),
        }
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "query_string": parts.query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in given.items() if v],
            "client": ["127.0.0.1", 9],
            "server": ("testserver", 80),
            "scheme": "http",
        }
        return await Exchange(scope, content).begun()

    async def get(self, url: str, **headers: str) -> Exchange:
        return await self.ask("GET", url, headers=headers)

    async def post(self, url: str, body: Any, **headers: str) -> Exchange:
        return await self.ask("POST", url, body, headers)

    async def say(self, url: str, text: str, **headers: str) -> tuple[str, Exchange]:
        """Say something; the turn's identifier, and the answer."""
        turn_id = str(uuid.uuid4())
        said = {"user_text": text, "turn_id": turn_id}
        return turn_id, await self.post(url, said, **headers)

    @asynccontextmanager
    async def stream(self, url: str, **headers: str) -> AsyncIterator[Exchange]:
        """An open stream, in JSON; closed afterwards."""
        stream = await self.get(url, accept="text/event-stream", **headers)
        try:
            yield stream
        finally:
            await stream.leave()
