"""Keeps one client up to date with the log and with the turn that is being answered.

A follower pulls: news only wakes it. So slow clients skip what has been overtaken, and nothing is
sent twice or left out, however often they are woken.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ...core.asynchronous import in_rendering_thread
from ..answering import running
from ..answering.relay import Heard, heard_of
from ..answering.running_turn import RunningTurn
from ..live import Listener
from ..page.frames import Encoder
from ..page.progress import Progress
from ..page.turn_view import TurnView
from .transcripts import Batch, Page, Transcripts, as_much_as_is_sent_at_once

# Seconds until the log is read again for an open turn that this process is not answering.
LOOK_AGAIN_SECONDS = 1.0


class Send(Protocol):
    """Sends frames to the client. Once it has them, it has everything up to the version `cursor`,
    if that is given."""

    async def __call__(self, frames: list[str], cursor: int | None = None) -> None: ...


class _Answering(Protocol):
    def view(self) -> TurnView: ...


class _Elsewhere:
    """A turn that another process is answering, as of its last message."""

    def __init__(self, view: TurnView) -> None:
        self._view = view

    def view(self) -> TurnView:
        return self._view

    def hear(self, heard: Heard) -> None:
        self._view = replace(
            self._view,
            pieces=heard.pieces,
            tail=heard.tail,
            tail_source=heard.tail_source,
            text=heard.text,
        )


class Follower:
    """One client's place in a conversation; it has everything up to the version `cursor`.

    With `until`, a turn's identifier, it is done when the client has seen how that turn ended.
    """

    def __init__(
        self,
        *,
        key: Any,
        after: int,
        transcripts: Transcripts,
        encoder: Encoder,
        listener: Listener,
        send: Send,
        when_empty: Callable[[int], Awaitable[None]],
        when_decided: Callable[[uuid.UUID], None] | None = None,
        until: str = "",
    ) -> None:
        self._cursor = after
        self._key = key
        self._transcripts = transcripts
        self._encoder = encoder
        self._listener = listener
        self._send = send
        self._when_empty = when_empty
        self._when_decided = when_decided
        self._until = until
        self._done = False
        self._first = True
        self._open: TurnView | None = None
        self._answering: _Answering | None = None
        self._sent = Progress()
        self._message: dict[str, Any] | None = None
        # What is made for a client waits in memory until it reads: so one thing at a time.
        self._making = asyncio.Lock()

    @property
    def cursor(self) -> int:
        """The version up to which the client has everything."""
        return self._cursor

    @cursor.setter
    def cursor(self, version: int) -> None:
        self._cursor = self._listener.seen = version

    async def run(self) -> None:
        """Follow until cancelled, or until this follower is done."""
        while True:
            batches = self._listener.take()
            if batches is None or not await self._take_in(batches):
                await self._catch_up()
            if self._done:
                return
            await self._take_in_heard()
            if self._open is not None:
                await self._follow_here(self._open)
            await self._send_progress()
            unheard = self._open is not None and not isinstance(self._answering, RunningTurn)
            await self._listener.wait(LOOK_AGAIN_SECONDS if unheard else None)

    def hear(self, event: dict[str, Any]) -> None:
        """Take in all that another process has produced of a turn so far."""
        self._message = event  # The last one has everything.

    async def _take_in_heard(self) -> None:
        message, self._message = self._message, None
        if message is None or self._open is None or message.get("turn_id") != self._open.id:
            return
        heard = await in_rendering_thread(heard_of)(message)
        if self._answering is None:
            self._answering = _Elsewhere(self._open)
        if heard is not None and isinstance(self._answering, _Elsewhere):
            self._answering.hear(heard)
            await self._send_anew(self._open, self._answering.view())

    async def earlier(self, before: int) -> None:
        """Send the turns before a version, as many as one frame should have."""
        async with self._making:
            await self._send(await earlier_frames(self._transcripts, self._encoder, before))

    async def _take_in(self, batches: Sequence[Batch]) -> bool:
        """Show what this process has just appended; return False if the log must be read."""
        for batch in batches:
            if batch[-1].version <= self.cursor:
                continue
            if batch[0].version != self.cursor + 1:
                return False
            page = await self._transcripts.after(batch)
            if page is None:
                return False
            await self._send_turns(page)
            self.cursor = page.head
        return True

    async def _catch_up(self) -> None:
        page = await self._transcripts.read(after=self.cursor)
        if self._is_unheard(page.open_turn) and await self._transcripts.close_abandoned():
            page = await self._transcripts.read(after=self.cursor)
        ahead = page.head < self.cursor
        if self.cursor and (page.more or page.erased > self.cursor or ahead):
            # The client missed more than is sent at once, some of what it has was erased, or it has
            # what is not in the log (any more): start again, so that no gap and no such words stay
            # on the page.
            page = await self._transcripts.read()
            anew = True
        else:
            anew = page.cleared > self.cursor
        if anew:
            self._open = self._answering = None
            running.stop_hidden(self._key, page.cleared)
            await self._send(self._encoder.reset())
        elif page.gone:
            if self._open is not None and self._open.id in page.gone:
                self._open = self._answering = None
            await self._send(self._encoder.gone(page.gone))
        if page.more:
            await self._send(self._encoder.earlier([], more=True, before=page.before))
        new = self._first and self.cursor == 0
        await self._send_turns(page)
        if anew and self._until and page.open_turn != self._until:
            self._done = True  # The turn was cleared: nothing will show its end.
        self._first = False
        self.cursor = page.head if ahead else max(self.cursor, page.head)
        if new and not page.turns:
            await self._when_empty(page.cleared)

    def _is_unheard(self, turn_id: str) -> bool:
        """Return whether a turn is open and not answered here: its process may be gone."""
        return bool(turn_id) and self._found(turn_id) is None

    async def _send_turns(self, page: Page) -> None:
        left = len(page.turns)
        async with contextlib.aclosing(self._transcripts.views(page)) as views:
            while True:
                async with self._making:
                    turn = await anext(views, None)
                    if turn is None or self._done:
                        return
                    left -= 1
                    # Only the last frame moves the cursor: a client that is cut off before it has
                    # a gap.
                    await self._send_turn(turn, page.head if left == 0 else None)

    async def _send_turn(self, turn: TurnView, cursor: int | None) -> None:
        if turn.outcome == "open":
            await self._begin(turn, cursor)
        elif self._open is not None and self._open.id == turn.id:
            await self._send_progress()
            await self._encode(self._encoder.ended, turn, cursor, self._sent, cursor=cursor)
            self._open = self._answering = None
        else:
            await self._encode(self._encoder.turn, turn, cursor, cursor=cursor)
        if turn.decided and self._when_decided is not None:
            self._when_decided(uuid.UUID(turn.id))
        # A turn that is decided goes on.
        self._done = turn.id == self._until and turn.outcome != "open" and not turn.decided

    async def _begin(self, turn: TurnView, cursor: int | None) -> None:
        if self._open is not None and self._open.id == turn.id:
            await self._follow_here(turn)
            return
        found = self._found(turn.id)
        self._open, self._answering, self._sent = turn, found, Progress()
        view = replace(found.view(), alternatives=turn.alternatives) if found else turn
        await self._encode(self._encoder.turn, view, cursor, cursor=cursor)
        self._sent.note(view)

    async def _follow_here(self, turn: TurnView) -> None:
        """Follow the answer in this process, if it is made here."""
        found = self._found(turn.id)
        if found is not None and found is not self._answering:
            self._answering = found
            await self._send_anew(turn, found.view())

    async def _send_anew(self, turn: TurnView, view: TurnView) -> None:
        """Send a turn whole, unless it begins with what the client has.

        After a decision a turn goes on as another one, perhaps elsewhere, and a client that was
        behind may have missed that it waited.
        """
        had = self._sent.pieces
        if list(view.pieces[: len(had)]) != list(had):
            view = replace(view, alternatives=turn.alternatives)
            await self._encode(self._encoder.turn, view, None)
            self._sent.note(view)

    def _found(self, turn_id: str) -> RunningTurn | None:
        found = running.find(self._key)
        return found if found is not None and str(found.turn_id) == turn_id else None

    async def _send_progress(self) -> None:
        if self._answering is None:
            return
        await self._encode(self._encoder.progress, self._answering.view(), self._sent)

    async def _encode(
        self,
        encode: Callable[..., list[str]],
        view: TurnView,
        *rest: Any,
        cursor: int | None = None,
    ) -> None:
        """Send a turn's frames. What takes long to write is not written on the event loop."""
        if view.is_large:
            frames = await in_rendering_thread(encode)(view, *rest)
        else:
            frames = encode(view, *rest)
        await self._send(frames, cursor)


async def earlier_frames(transcripts: Transcripts, encoder: Encoder, before: int) -> list[str]:
    """Return the turns before a version, as many as one frame should have."""
    page = as_much_as_is_sent_at_once(await transcripts.read(before=before))
    turns = [turn async for turn in transcripts.views(page)]
    make = in_rendering_thread(encoder.earlier)
    return await make(turns, more=page.more, before=page.before or before)
