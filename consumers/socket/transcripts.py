"""Reads the turns that a socket shows: from the log, or from its own memory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...core import conf
from ...core.asynchronous import in_database_thread, in_rendering_thread
from ...events.models import Event
from ...events.runners import is_abandoned
from ...events.turns import close_abandoned
from ...events.types import RUNNING_TYPES
from ...events.waiting import WaitingCall
from ...projections.outline import LARGEST_VERSION, TurnPlace, is_shown, read_outline
from ...projections.transcript import TranscriptTurn, fold_turns, read_turns, with_texts
from ..answering.contained import contained
from ..answering.running import find
from ..answering.running_turn import RunningTurn
from ..page.turn_view import TurnView, answer_text, view_of


@dataclass(frozen=True, slots=True)
class Page:
    """Turns in order, the version they were read at, the last clearing's version, whether there are
    more and before which version, the version of the last erasure, and the turn that is open.

    A recorded turn is only its place: `Transcripts.views` reads its words when they are sent.
    """

    turns: Sequence[TurnView | TurnPlace]
    head: int
    cleared: int
    more: bool
    before: int
    erased: int = 0
    open_turn: str = ""
    gone: Sequence[str] = ()
    """Turns that the client may show, and that are not in the current branch any more."""


Batch = Sequence[Event]
"""What one append has added to the conversation."""

# Bytes of stored turns that are read at once. A client that does not read its socket costs no more.
SLICE = 64 * 1024


MayDecide = Callable[[WaitingCall], Awaitable[bool]]
"""Whether this person may decide about a call of theirs."""


class Transcripts(Protocol):
    recorded: bool

    async def read(self, *, after: int = 0, before: int | None = None) -> Page:
        """Return the turns that changed after a version, and the open one; or those before one."""

    def views(self, page: Page) -> AsyncGenerator[TurnView]:
        """Yield a page's turns as they are shown."""

    async def after(self, batch: Batch) -> Page | None:
        """Return the turns that a batch changes, if everything before it has been read.

        Returns None if the batch alone does not say.
        """

    async def close_abandoned(self) -> bool:
        """Close an open turn whose process is gone; return whether there was one."""

    async def shows(self, turn_id: uuid.UUID) -> bool:
        """Return whether a turn that was started before is still shown."""

    async def source(self, turn_id: uuid.UUID) -> str:
        """Return the Markdown of a turn's answer; "" if the person does not see that turn."""

    def keep(self, turn: RunningTurn) -> None:
        """Keep a turn that has ended."""


class RecordedTranscript:
    """One person's turns in a conversation, as the log has them."""

    recorded = True

    def __init__(
        self,
        stream_id: int,
        user: Any,
        *,
        show_initial_prompt: bool,
        may_decide: MayDecide | None = None,
        lane: AbstractAsyncContextManager[None],
    ) -> None:
        self._stream_id = stream_id
        self._user = user
        self._lane = lane
        self._show_initial_prompt = show_initial_prompt
        self._may_decide = may_decide
        self._runner: str | None = None
        self._waits = False
        # The events of a turn that a batch began and none has ended; the version they were read at.
        self._opened: list[Event] = []
        self._at = 0

    async def read(self, *, after: int = 0, before: int | None = None) -> Page:
        async with self._lane:
            page = await in_database_thread(self._read)(after, before)
        if page.head != self._at:
            self._opened = []  # The turn may have ended or been cleared.
        return page

    def _read(self, after: int, before: int | None) -> Page:
        limit = conf.get().history_turns
        outline = read_outline(self._stream_id, self._user, after=after, before=before, limit=limit)
        self._runner, self._waits = outline.runner, outline.waits
        places = outline.places
        return Page(
            places,
            outline.head,
            outline.cleared,
            outline.more,
            places[0].first if places else 0,
            outline.erased,
            str(outline.open_turn or ""),
            list(map(str, outline.gone)),
        )

    async def views(self, page: Page) -> AsyncGenerator[TurnView]:
        for turn in page.turns:
            if isinstance(turn, TurnView):
                yield turn
        places = [turn for turn in page.turns if isinstance(turn, TurnPlace)]
        for few in _slices(places):
            async with self._lane:
                turns = await in_database_thread(read_turns)(self._stream_id, few, page.head)
            while turns:
                yield await self._view(turns.pop(0))

    async def after(self, batch: Batch) -> Page | None:
        mine: bool | None = None
        # The opening of a conversation is not shown.
        new = [event for event in batch if event.type != "ConversationOpened"]
        events = [*self._opened, *new]
        self._at = batch[-1].version
        if _is_one_turn(events):
            mine = _is_of(events[0], self._user)
        if mine is None:
            self._opened = []
            return None
        self._opened = events if events[-1].type in RUNNING_TYPES else []
        turns: list[TurnView] = []
        if mine:
            folded = await in_rendering_thread(fold_turns)(events)
            if any(turn.has_blobs for turn in folded):
                folded = await in_database_thread(with_texts)(folded)
            turns = [await self._view(turn) for turn in folded]
        return Page(turns, batch[-1].version, 0, False, 0)

    async def _view(self, turn: TranscriptTurn) -> TurnView:
        make = in_rendering_thread(view_of)
        async with self._lane:
            view = await make(turn, show_initial_prompt=self._show_initial_prompt)
        if view.outcome == "waiting" and self._may_decide is not None:
            for call in turn.calls:
                if call.approved is None and await contained(self._may_decide(call)):
                    view.let_decide(call.number)
        return replace(view, replaceable=True)

    async def close_abandoned(self) -> bool:
        return await in_database_thread(self._close_abandoned)()

    def _close_abandoned(self) -> bool:
        if self._waits:
            return False
        return is_abandoned(self._runner) and bool(close_abandoned(self._stream_id))

    async def shows(self, turn_id: uuid.UUID) -> bool:
        return await in_database_thread(is_shown)(self._stream_id, turn_id)

    async def source(self, turn_id: uuid.UUID) -> str:
        async with self._lane:
            return await in_database_thread(self._source)(turn_id)

    def _source(self, turn_id: uuid.UUID) -> str:
        if not is_shown(self._stream_id, turn_id, of=self._user):
            return ""
        turns = read_turns(self._stream_id, [TurnPlace(turn_id, 0, 0)], LARGEST_VERSION)
        return answer_text(turns[0]) if turns else ""

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
        running = find(self._key)
        if running:
            turns.append(running.view())
        open_turn = str(running.turn_id) if running else ""
        return Page(turns, len(self._turns), 0, False, 0, open_turn=open_turn)

    async def views(self, page: Page) -> AsyncGenerator[TurnView]:
        for turn in page.turns:
            if isinstance(turn, TurnView):
                yield turn

    async def after(self, batch: Batch) -> Page | None:
        return None

    async def close_abandoned(self) -> bool:
        return False

    async def shows(self, turn_id: uuid.UUID) -> bool:
        return any(turn.id == str(turn_id) for turn in self._turns)

    async def source(self, turn_id: uuid.UUID) -> str:
        return next((turn.text for turn in self._turns if turn.id == str(turn_id)), "")

    def keep(self, turn: RunningTurn) -> None:
        self._turns.append(replace(turn.view(), version=len(self._turns) + 1))


def as_much_as_is_sent_at_once(page: Page) -> Page:
    """Return a page's last turns, in as many bytes as one frame should have, but at least one."""
    turns, left = list(page.turns), SLICE
    for place, turn in reversed(list(enumerate(turns))):
        left -= turn.size if isinstance(turn, TurnPlace) else 0
        if left < 0 and place + 1 < len(turns):
            kept = turns[place + 1 :]
            first = kept[0]
            before = first.first if isinstance(first, TurnPlace) else page.before
            return replace(page, turns=kept, more=True, before=before)
    return page


def _slices(places: Sequence[TurnPlace]) -> Iterator[list[TurnPlace]]:
    few: list[TurnPlace] = []
    for place in places:
        if few and sum(one.size for one in few) + place.size > SLICE:
            yield few
            few = []
        few.append(place)
    if few:
        yield few


def _is_of(event: Event, user: Any) -> bool | None:
    """Return whether an event that was just appended is this person's; None if it does not say.

    Not by a pseudonym that was seen before: the person may have been forgotten, and have a new one.
    """
    if user is None or not user.is_authenticated:
        return event.actor_id is None
    if event.actor_id is None:
        return False
    return None if event.spoken_by is None else bool(event.spoken_by == user.pk)


def _is_one_turn(events: Sequence[Event]) -> bool:
    """Return whether these consecutive events are a whole turn, or the beginning of one."""
    return (
        bool(events)
        and events[0].type == "TurnStarted"
        and events[0].turn_id is not None
        and all(event.turn_id == events[0].turn_id for event in events)
    )
