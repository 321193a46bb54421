"""A chat's frames as server-sent events: a conversation for as long as its page is open, or a turn.

What is here runs in tasks of its own, so that a client that reads slowly delays nothing, and ends
with the response.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from channels.layers import get_channel_layer
from django.db import Error as DatabaseFailure
from django.utils import translation

from ...core.asynchronous import in_rendering_thread, release_request_thread
from ...core.errors import ConfigurationError
from .. import failures
from ..answering.contained import contained
from ..mixins.agent import AgentMixin
from ..socket import limits
from ..socket.layer import Member
from ..socket.opening import Opening
from ..socket.session import Session
from . import leaving, sse
from .outlet import Outlet

logger = logging.getLogger("turnlog")

ALIVE_SECONDS = 20.0
"""How often a client hears that its stream is alive, and is looked at whether it may go on."""

# When a client comes back that lost its connection, in milliseconds: not all at once.
_RETRY = (1_000, 4_000)

# Characters of a frame that are written in a moment.
_LARGE = 64 * 1024

LATER = "later"
"""Why a stream ends that its client may open again."""
DONE = "done"
"""Why a turn's stream ends."""


class ChatStream:
    """Writes what one client is shown. It begins when its response is written, and not before."""

    def __init__(self, chat: AgentMixin, opening: Opening) -> None:
        self._chat = chat
        self._outlet = Outlet()
        self._member = Member(get_channel_layer(), self._take, self._joined_again)
        self.session = Session(
            chat,
            encoder=opening.encoder,
            language=opening.language,
            send=self._send,
        )

    def of_conversation(self, after: int) -> AsyncGenerator[bytes]:
        """Yield everything after a version, for as long as the client may see it."""
        return self._pieces(partial(self.session.enter, after, self._member))

    def of_turn(self, turn_id: uuid.UUID, version: int) -> AsyncGenerator[bytes]:
        """Yield a turn that began with a version, until it ends."""
        after = max(0, version - 1)
        return self._pieces(partial(self.session.listen, after, self._member, str(turn_id)))

    async def _pieces(self, begin: Callable[[], Awaitable[None]]) -> AsyncGenerator[bytes]:
        session = self.session
        release_request_thread()
        translation.activate(session.language)
        try:
            share = limits.enter(self._chat.scope)
        except limits.TooMany as error:
            for frame in session.encoder.notice(str(error), level="error"):
                yield sse.event(frame)
            yield ended(LATER)
            return
        session.share = share
        work: list[asyncio.Task[None]] = []
        try:
            work += map(asyncio.create_task, (self._keep_up_to_date(begin), self._watch()))
            leaving.enter(self._end_for_now)
            yield sse.retry(random.randint(*_RETRY))
            async for piece in self._outlet.pieces():
                yield piece
        finally:
            leaving.leave(self._end_for_now)
            for task in work:
                task.cancel()
            share.leave()
            self._member.silence()
            await session.leave()

    async def _keep_up_to_date(self, begin: Callable[[], Awaitable[None]]) -> None:
        translation.activate(self.session.language)
        reason = LATER
        try:
            await self._member.listen()
            await contained(begin())
            release_request_thread()  # A hook may have asked the database, by Django's own way.
            await self.session.follow()
            reason = DONE
        except ConfigurationError as error:
            logger.error("a chat could not be opened: %s", error)  # It names settings, no people.
            await self.session.notice(failures.sentence({"kind": "configuration"}))
        except DatabaseFailure as error:
            logger.error("a chat lost its database: %s", failures.where(error))
        except Exception as error:  # noqa: BLE001 - the page reconnects and starts again
            logger.error("a chat's page could not be kept up to date: %s", failures.where(error))
        await self._end(reason)

    async def _watch(self) -> None:
        """Tell the client that its stream is alive, and end it if the client may not go on."""
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            try:
                reason = await contained(self.session.ended())
            except Exception as error:  # noqa: BLE001 - the next look comes
                logger.error("a stream could not be looked at: %s", failures.where(error))
                reason = None
            release_request_thread()
            if reason is not None:
                await self._end(reason.value)
                return
            await self._outlet.give(sse.event("{}", name="alive"))

    async def _end_for_now(self) -> None:
        await self._end(LATER)

    async def _end(self, reason: str) -> None:
        await self._outlet.give(ended(reason))
        await self._outlet.give(None)

    async def _send(self, frames: list[str], cursor: int | None = None) -> None:
        for number, frame in enumerate(frames, 1):
            # Only with the last one the client has everything up to the cursor.
            reached = cursor if number == len(frames) else None
            if len(frame) > _LARGE:  # What takes long to write is not written on the event loop.
                piece = await in_rendering_thread(sse.event)(frame, cursor=reached)
            else:
                piece = sse.event(frame, cursor=reached)
            await self._outlet.give(piece)

    async def _take(self, message: Any) -> None:
        """Take a message of the channel layer: whoever reaches it may send anything."""
        kind = message.get("type") if isinstance(message, dict) else None
        if isinstance(kind, str):
            self.session.hear(kind, message)

    def _joined_again(self) -> None:
        self.session.look_again()


def ended(reason: str, detail: str = "") -> bytes:
    """Return the event that ends a stream: whether the client may come back, and why in words for a
    developer."""
    data = {"type": "end", "reason": reason, "detail": detail}
    return sse.event(json.dumps(data, ensure_ascii=False), name="end")
