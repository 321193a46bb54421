"""What a person sees of a conversation: whole turns, including failed and open ones.

The message list holds what models are given. A transcript is for people: it is folded from the
events themselves, newest first and only as far as is asked for.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db.models import Max, Min, Q

from ..core.errors import UnreadableEvent
from ..events.erasure.past import Erasure, erasures_of
from ..events.listed import LISTED
from ..events.models import Actor, Event
from ..events.tables.database import log_database

logger = logging.getLogger("turnlog")

Standing = Literal[
    "open", "completed", "failed", "cancelled", "interrupted", "unrecorded", "erased"
]

_EVENTS_PER_TURN = 6
_HUMAN = ("HumanMessage", "HumanMessageChunk")


@dataclass(slots=True)
class TranscriptTurn:
    """One turn: the documents of its messages (None if there is none), and its standing."""

    turn_id: uuid.UUID
    first: int
    last: int
    at: dt.datetime
    standing: Standing
    human: Any = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    answer: Any = None
    error: dict[str, str] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    erasure: Erasure | None = None
    finished: bool = False
    """Whether its messages are in the message list."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Turns in order, as they were at version `head` of the stream.

    `cleared` and `erased` are the versions of the last clearing and the last erasure (0: never).
    `more` says whether older turns that were asked for are left out.
    """

    turns: Sequence[TranscriptTurn]
    head: int
    cleared: int
    more: bool
    erased: int = 0


def read_transcript(
    stream_id: int,
    user: Any,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int,
) -> Transcript:
    """Return the last `limit` turns of one user (None: guests) since the conversation was cleared.

    With `after`, only the turns that changed after that version, and the open one. With `before`,
    only the turns that began before that version. It takes two queries, one more if the
    conversation was cleared, and one more if a turn was erased.
    """
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    versions = stream.aggregate(
        head=Max("version"),
        cleared=Max("version", filter=Q(type="ConversationCleared")),
        erased=Max("version", filter=Q(type="PayloadErased")),
    )
    head, cleared = versions["head"] or 0, versions["cleared"] or 0
    mine = stream.filter(_by(user), turn_id__isnull=False, version__gt=cleared, version__lte=head)
    if before is not None:
        mine = mine.filter(version__lt=before)
    window = _EVENTS_PER_TURN * limit
    while True:
        events = list(mine.order_by("-version")[: window + 1])
        turns = _without_hidden(fold_turns(reversed(events)), stream, cleared)
        # There may be more beyond the window, and its oldest turn may have begun before it.
        cut = len(events) > window
        if cut and events[-1].version > after:
            turns = turns[1:]
        wanted = [turn for turn in turns if turn.last > after or turn.standing == "open"]
        reached = not cut or events[-1].version <= after
        if reached or len(wanted) >= limit:
            more = not reached or len(wanted) > limit
            shown = wanted[-limit:]
            if before is not None:
                # The last of them may have ended after that version.
                ids = [turn.turn_id for turn in shown]
                shown = fold_turns(stream.filter(turn_id__in=ids).order_by("version"))
            _note_erasures(shown, stream_id)
            return Transcript(shown, head, cleared, more, versions["erased"] or 0)
        window *= 4


def is_shown(stream_id: int, turn_id: uuid.UUID) -> bool:
    """Return whether a turn began after the conversation was last cleared."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    versions = stream.aggregate(
        began=Min("version", filter=Q(turn_id=turn_id)),
        cleared=Max("version", filter=Q(type="ConversationCleared")),
    )
    return versions["began"] is not None and versions["began"] > (versions["cleared"] or 0)


def _by(user: Any) -> Q:
    if user is None or not user.is_authenticated:
        return Q(actor_id=None)
    # Looked up in the same query. A user without turns has no actor.
    return Q(actor_id__in=Actor.objects.filter(user_id=user.pk).values("id"))


def fold_turns(events: Iterable[Event]) -> list[TranscriptTurn]:
    """Return turns in the order they began, from events in order of version."""
    turns: dict[uuid.UUID, TranscriptTurn] = {}
    for event in events:
        if event.turn_id is None:
            continue
        turn = turns.get(event.turn_id)
        if turn is None:
            turn = turns[event.turn_id] = TranscriptTurn(
                event.turn_id, event.version, event.version, event.recorded_at, "open"
            )
        turn.last = event.version
        _apply(turn, event)
    return list(turns.values())


def _apply(turn: TranscriptTurn, event: Event) -> None:
    if event.payload is None:
        turn.standing = "erased"
        return
    try:
        event = event.current
    except UnreadableEvent as error:
        # The rest of the conversation is still shown. The log line leaves out the error's text: it
        # may quote what people said.
        what = (type(error).__name__, error.type_name, error.schema)
        logger.warning("event %s is left out of a transcript: %s, %s schema %s", event, *what)
        return
    payload = json.loads(event.payload or "null")
    if event.type in LISTED and not turn.finished:
        # The batch that finishes the turn. It contains in full what a failure had recorded.
        turn.finished = True
        turn.standing, turn.error, turn.answer = "completed", None, None
        turn.tools.clear()
    if event.type == "TurnStarted":
        turn.human = payload["message"]
        turn.metadata |= event.meta
    elif event.type == "MessageAppended":
        if isinstance(payload, dict) and payload.get("_type") in _HUMAN:
            turn.human = payload
        else:
            turn.answer = payload
        turn.metadata |= event.meta
        if event.meta.get("outcome") == "cancelled":
            turn.standing = "cancelled"  # Somebody stopped it; what it had said is kept.
    elif event.type == "ToolOutputRecorded":
        turn.tools.append(payload)
    elif event.type == "TurnFailed":
        turn.standing, turn.error = payload["outcome"], payload["error"]
        turn.tools = list(payload["produced"]["tools"])
        turn.answer = payload["produced"]["message"]


def _note_erasures(turns: Sequence[TranscriptTurn], stream_id: int) -> None:
    erased = [turn for turn in turns if turn.standing == "erased"]
    if not erased:
        return
    erasures = erasures_of(stream_id)
    for turn in erased:
        turn.erasure = erasures.get(turn.last) or erasures.get(turn.first)


def _without_hidden(turns: list[TranscriptTurn], stream: Any, cleared: int) -> list[TranscriptTurn]:
    """Return the turns without those that began before the clearing and ended after it."""
    if not cleared:
        return turns
    ids = [turn.turn_id for turn in turns]
    hidden = set(
        stream.filter(turn_id__in=ids, version__lt=cleared).values_list("turn_id", flat=True)
    )
    return [turn for turn in turns if turn.turn_id not in hidden]
