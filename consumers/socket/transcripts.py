"""Reads the turns that a socket shows: from the log, or from its own memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...core import conf
from ...core.asynchronous import in_database_thread
from ...events.models import Event
from ...events.runners import is_abandoned
from ...events.turns import close_abandoned
from ...projections.transcript import TranscriptTurn, fold_turns, is_shown, read_transcript
from ..answering.running import find
from ..answering.running_turn import RunningTurn
from ..page.turn_view import TurnView, view_of


@dataclass(frozen=True, slots=True)
class Page:
    """Turns in order, the version they were read at, the last clearing's version, whether there are
    more and before which version, and the version of the last erasure."""

    turns: Sequence[TurnView]
    head: int
    cleared: int
    more: bool
    before: int
    erased: int = 0


Batch = Sequence[Event]
"""What one append has added to the conversation."""


class Transcripts(Protocol):
    recorded: bool

    async def read(self, *, after: int = 0, before: int | None = None) -> Page:
        """Return the turns that changed after a version, and the open one; or those before one."""

    async def after(self, batch: Batch) -> Page | None:
        """Return the turns that a batch changes, if everything before it has been read.

        Returns None if the batch alone does not say.
        """

    async def close_abandoned(self) -> bool:
        """Close an open turn whose process is gone; return whether there was one."""

    async def shows(self, turn_id: uuid.UUID) -> bool:
        """Return whether a turn that was started before is still shown."""

    def keep(self, turn: RunningTurn) -> None:
        """Keep a turn that has ended."""


class RecordedTranscript:
    """One person's turns in a conversation, as the log has them."""

    recorded = True

    def __init__(self, stream_id: int, user: Any, *, show_initial_prompt: bool) -> None:
        self._stream_id = stream_id
        self._user = user
        self._show_initial_prompt = show_initial_prompt
        self._runner: str | None = None
        # The events of a turn that a batch began and none has ended; the version they were read at.
        self._opened: list[Event] = []
        self._at = 0

    async def read(self, *, after: int = 0, before: int | None = None) -> Page:
        page = await in_database_thread(self._read)(after, before)
        if page.head != self._at:
            self._opened = []  # The turn may have ended or been cleared.
        return page

    def _read(self, after: int, before: int | None) -> Page:
        transcript = read_transcript(
            self._stream_id,
            self._user,
            after=after,
            before=before,
            limit=conf.get().history_turns,
        )
        for turn in transcript.turns:
            if turn.standing == "open":
                self._runner = turn.metadata.get("runner")
        # Rendering Markdown takes time too, and belongs in this thread.
        turns = self._views(transcript.turns)
        first = transcript.turns[0].first if transcript.turns else 0
        return Page(
            turns, transcript.head, transcript.cleared, transcript.more, first, transcript.erased
        )

    async def after(self, batch: Batch) -> Page | None:
        mine = _known_actor(self._user)
        # The opening of a conversation is not shown.
        new = [event for event in batch if event.type != "ConversationOpened"]
        events = [*self._opened, *new]
        self._at = batch[-1].version
        if mine is _UNKNOWN or not _is_one_turn(events):
            self._opened = []
            return None
        self._opened = events if events[-1].type == "TurnStarted" else []
        turns: list[TurnView] = []
        if events[0].actor_id == mine:
            # Rendering Markdown takes time, but needs no database.
            turns = await asyncio.to_thread(self._views, fold_turns(events))
        return Page(turns, batch[-1].version, 0, False, 0)

    def _views(self, turns: Sequence[TranscriptTurn]) -> list[TurnView]:
        return [view_of(turn, show_initial_prompt=self._show_initial_prompt) for turn in turns]

    async def close_abandoned(self) -> bool:
        return await in_database_thread(self._close_abandoned)()

    def _close_abandoned(self) -> bool:
        return is_abandoned(self._runner) and bool(close_abandoned(self._stream_id))

    async def shows(self, turn_id: uuid.UUID) -> bool:
        return await in_database_thread(is_shown)(self._stream_id, turn_id)

    def keep(self, turn: RunningTurn) -> None:
        """Do nothing: the turn is in the log."""


class MemoryTranscript:
    """The turns of a chat without a conversation, which end with its socket."""

    recorded = False

    def __init__(self, key: Any) -> None:
        self._key = key
        self._turns: list[TurnView] = []

    async def read(self, *, after: int = 0, before: int | None = None) -> Page:
        turns = self._turns[after:]
        if running := find(self._key):
            turns.append(running.view())
        return Page(turns, len(self._turns), 0, False, 0)

    async def after(self, batch: Batch) -> Page | None:
        return None

    async def close_abandoned(self) -> bool:
        return False

    async def shows(self, turn_id: uuid.UUID) -> bool:
        return any(turn.id == str(turn_id) for turn in self._turns)

    def keep(self, turn: RunningTurn) -> None:
        self._turns.append(replace(turn.view(), version=len(self._turns) + 1))


_UNKNOWN = object()


def _known_actor(user: Any) -> Any:
    """Return a user's pseudonym, None for a guest, _UNKNOWN if it was not looked up yet."""
    if user is None or not user.is_authenticated:
        return None
    return getattr(user, "_turnlog_actor_id", _UNKNOWN)


def _is_one_turn(events: Sequence[Event]) -> bool:
    """Return whether these consecutive events are a whole turn, or the beginning of one."""
    return (
        bool(events)
        and events[0].type == "TurnStarted"
        and events[0].turn_id is not None
        and all(event.turn_id == events[0].turn_id for event in events)
    )
