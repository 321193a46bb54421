"""A WebSocket client that speaks JSON, as somebody would write one for a terminal or a phone."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from websockets import Origin
from websockets.sync.client import ClientConnection, connect

from .project import Server

Frame = dict[str, Any]


class Chat:
    """One connection: what was received is kept in `frames`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.frames: list[Frame] = []

    def say(self, text: str, turn_id: str | None = None) -> str:
        """Send a message; its turn's id."""
        turn_id = turn_id or str(uuid.uuid4())
        self.send(user_text=text, turn_id=turn_id)
        return turn_id

    def send(self, **fields: Any) -> None:
        self._connection.send(json.dumps(fields))

    def vanish(self) -> None:
        """Cut the line without a goodbye, as a phone in a tunnel does."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)

    def until(self, wanted: Callable[[Frame], bool], seconds: float = 30) -> list[Frame]:
        """Receive until a frame is the wanted one; all of these frames. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        received: list[Frame] = []
        while True:
            try:
                text = self._connection.recv(timeout=max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                missing = f"it did not come within {seconds} s; came: {received}"
                raise TimeoutError(missing) from None
            frame = json.loads(text)
            received.append(frame)
            self.frames.append(frame)
            if wanted(frame):
                return received

    def until_ended(self, turn_id: str, seconds: float = 30) -> list[Frame]:
        """Receive until a turn has ended."""
        return self.until(
            lambda frame: is_standing(frame, turn_id) and frame["outcome"] != "open", seconds
        )

    def until_text(self, turn_id: str, words: str) -> list[Frame]:
        """Receive until the answer of a turn, as far as it has come, holds some words."""
        received: list[Frame] = []
        while words not in text_of(received, turn_id):
            received += self.until(lambda frame: is_answer(frame, turn_id))
        return received

    def until_quiet(self) -> list[Frame]:
        """Receive what the server has to say now: all that comes before its pong."""
        self.send(type="ping")
        return self.until(lambda frame: frame.get("type") == "pong")


def is_standing(frame: Frame, turn_id: str) -> bool:
    return frame.get("type") == "turn" and frame["id"] == turn_id


def is_answer(frame: Frame, turn_id: str) -> bool:
    return frame.get("role") == "assistant" and frame["id"] == turn_id


def is_notice(frame: Frame) -> bool:
    return frame.get("type") == "notice"


def text_of(frames: list[Frame], turn_id: str) -> str:
    """The answer of a turn as a client puts it together."""
    text = ""
    for frame in frames:
        if is_answer(frame, turn_id):
            text = text + frame["content"] if frame["mode"] == "append" else frame["content"]
    return text


@contextlib.contextmanager
def chat(
    server: Server,
    path: str,
    session: str | None,
    *,
    origin: str | None = None,
    language: str = "en",
    after: int = 0,
    person: str = "",
) -> Iterator[Chat]:
    """A connection that has been greeted."""
    headers = {"Cookie": f"sessionid={session}"} if session else {}
    with connect(
        f"{server.ws_url}{path}?format=json&lang={language}&after={after}&person={person}",
        origin=Origin(origin or server.url),
        additional_headers=headers,
        proxy=None,
        open_timeout=30,
        close_timeout=5,
    ) as connection:
        client = Chat(connection)
        client.until(lambda frame: frame.get("type") == "hello")
        yield client
