"""A conversation for somebody who reviews it: everybody's turns, and what happened between them.

The transcript is one person's, since they last cleared it. The trail has all of the log: each turn
with its events, and the clearings, holds, erasures and changes beside them, as it was at a version.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import UnreadableEvent
from ..events.branches import Branch, beginnings, branches_at
from ..events.models import Event
from ..events.moments import moment_of
from ..events.tables.database import log_database
from ..events.tables.literal import Literal
from .outline import SIZE, of_turns
from .transcript import TranscriptTurn, fold_turns, note_decisions, note_erasures
from .travel.speakers import Speakers
from .usage.projection import counted

LONG_GAP = dt.timedelta(minutes=5)

_BYTES = 5_000_000
"""How large the turns of a page are together, at most, unless it is a single one."""
_MARKS = 200
"""The most events outside of turns that a page of a trail has: the last ones."""


@dataclass(frozen=True, slots=True)
class TrailTurn:
    """A turn, its events in order, and what it took; None where that is not known.

    `gap` is the time since what came before it, if that was long. `cleared` says whether people no
    longer saw it at the trail's moment, and `left` whether it was in another branch than the one
    that was current then; `instead` is where the turn began that stood in its place, if one did.
    """

    turn: TranscriptTurn
    events: Sequence[Event]
    speaker: str
    model: str
    tokens: int | None
    seconds: float | None
    gap: dt.timedelta | None = None
    cleared: bool = False
    left: bool = False
    instead: int | None = None

    @property
    def version(self) -> int:
        """The version at which it began."""
        return self.turn.first


@dataclass(frozen=True, slots=True)
class Mark:
    """An event that belongs to no turn."""

    event: Event
    speaker: str

    @property
    def version(self) -> int:
        """The event's version."""
        return self.event.version


@dataclass(frozen=True, slots=True)
class Trail:
    """Turns and marks in the order they began, at `moment`, the last event that counts.

    `head` is the stream's last version; `more` says whether there is something before `items`.
    `following` is the event after the moment, None at the head.
    """

    items: Sequence[TrailTurn | Mark]
    moment: Event
    head: int
    more: bool
    following: Event | None = None

    @property
    def turns(self) -> list[TrailTurn]:
        """The turns alone."""
        return [item for item in self.items if isinstance(item, TrailTurn)]


def read_trail(
    stream_id: int,
    *,
    version: int | None = None,
    before: int | None = None,
    limit: int = 50,
    only: uuid.UUID | None = None,
) -> Trail:
    """Return the last `limit` turns of everybody at a version (None: now), and the marks beside.

    With `before`, only what began before that version; with `only`, what one actor did. There are
    fewer turns if they are large. The number of queries does not depend on the conversation's
    length. Raises MomentError, UnknownConversation.
    """
    moment = moment_of(stream_id, version, None)
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    end = moment.version if before is None else min(moment.version, before - 1)
    seen = stream if only is None else stream.filter(actor_id=only)
    began = beginnings(seen.filter(turn_id__isnull=False, version__lte=end), stream)
    ids = dict(began.order_by("-version").values_list("turn_id", "version")[: limit + 1])
    wanted = _that_fit(of_turns(stream, list(ids), moment.version), ids)[:limit]
    more = len(wanted) < len(ids)
    first = ids[wanted[-1]] if more else 1
    events = of_turns(stream, wanted, moment.version).order_by("at") if wanted else []
    marks = seen.filter(turn_id=None, version__gte=first, version__lte=end)
    beside = list(marks.order_by("-version")[: _MARKS + 1])
    clearings = stream.filter(type=Literal("ConversationCleared"), version__lte=moment.version)
    cleared = clearings.order_by("-version").values_list("version", flat=True).first() or 0
    last = stream.order_by("-version").values_list("version", flat=True)[0]
    following = stream.filter(version=moment.version + 1).first()
    said = list(events)
    speakers = Speakers(event.actor_id for event in (*said, *beside[:_MARKS]))
    items: list[TrailTurn | Mark] = [
        *_turns(said, speakers, cleared, branches_at(stream_id, moment.version, after=cleared)),
        *(Mark(event, speakers.name(event.actor_id)) for event in beside[:_MARKS]),
    ]
    if len(beside) > _MARKS:
        # The page begins later then, so that the one before it has what is left out here.
        first, more = beside[_MARKS - 1].version, True
        items = [item for item in items if item.version >= first]
    items.sort(key=lambda item: item.version)
    return Trail(_with_gaps(items), moment, last, more, following)


def _that_fit(events: Any, began: Mapping[uuid.UUID, int]) -> list[uuid.UUID]:
    """Return the turns whose payloads fit into a page, the last ones first; at least one."""
    sizes = events.order_by().values("turn_id").annotate(size=SIZE)
    size_of = dict(sizes.values_list("turn_id", "size")) if began else {}
    room = _BYTES
    fit: list[uuid.UUID] = []
    for turn_id in began:
        room -= size_of.get(turn_id, 0)
        if room < 0 and fit:
            break
        fit.append(turn_id)
    return fit


def _turns(
    events: Sequence[Event],
    speakers: Speakers,
    cleared: int,
    branches: Mapping[uuid.UUID | None, Branch],
) -> list[TrailTurn]:
    of_turn: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        of_turn[event.turn_id].append(event)
    turns = fold_turns(events)
    if events:
        note_erasures(turns, events[0].stream_id)
        note_decisions(turns, events)
    found = []
    for turn in turns:
        own = of_turn[turn.turn_id]
        model, tokens, seconds = _spent(own)
        speaker = speakers.name(own[0].actor_id)
        shown = TrailTurn(turn, own, speaker, model, tokens, seconds, cleared=turn.first < cleared)
        branch = branches.get(own[0].actor_id, Branch())
        if not shown.cleared and not branch.has(turn.first):
            here = branch.alternatives_to(turn.first)
            instead = branch.current_of(here) if here else None
            shown = replace(shown, left=True, instead=instead)
        found.append(shown)
    return found


def _spent(events: Sequence[Event]) -> tuple[str, int | None, float | None]:
    """Return the model, the tokens and the seconds of a turn."""
    model, tokens, seconds = "", 0, None
    before: list[Event] = []
    for event in events:
        try:
            ended = counted(event, before)
        except UnreadableEvent:
            ended = None  # The event itself is shown as it is stored.
        before.append(event)
        if ended is not None:
            model = ended.model or model
            tokens += ended.counts["total_tokens"]
            if ended.counts["timed"]:
                seconds = ended.counts["latency_us"] / 1e6
    return model, tokens or None, seconds


def _with_gaps(items: Sequence[TrailTurn | Mark]) -> list[TrailTurn | Mark]:
    marked: list[TrailTurn | Mark] = []
    before: dt.datetime | None = None
    for item in items:
        if isinstance(item, Mark):
            before = item.event.recorded_at
        else:
            gap = None if before is None else item.turn.at - before
            if gap is not None and gap > LONG_GAP:
                item = replace(item, gap=gap)
            before = item.events[-1].recorded_at
        marked.append(item)
    return marked
