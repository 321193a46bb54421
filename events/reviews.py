"""What reviewers write about a conversation, in the stream beside it: notes, scores, sign-offs."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connections
from django.db.models import Q
from django.utils.translation import gettext as _

from ..core import conf
from ..core.errors import RemarkRefused, UnknownConversation, UnknownTurn
from ..core.wellformed import wellformed
from .beside import found, opened, review_of
from .log import NewEvent, append
from .store.dialect import dialect_of
from .store.isolation import locking
from .store.sqlite import begin_writing
from .tables.actor import Actor
from .tables.conversation import rows
from .tables.database import log_database
from .tables.event import Event
from .types import (
    NEVER_ERASED,
    EventData,
    NoteAdded,
    NoteWithdrawn,
    ReviewSignedOff,
    ScoreGiven,
)

LONGEST_NOTE, LONGEST_QUOTE = 10_000, 2_000
"""Characters."""


def add_note(
    conversation_id: int,
    text: str,
    *,
    by: Any,
    turn_id: uuid.UUID | None = None,
    quote: str = "",
) -> Event:
    """Note something about a conversation, or about one of its turns.

    Raises RemarkRefused, UnknownTurn, UnknownConversation.
    """
    if not text.strip():
        raise RemarkRefused(_("Expected the words of a note, found none."))
    data = NoteAdded(
        _at_most(LONGEST_NOTE, text),
        _turn(conversation_id, turn_id),
        wellformed(quote)[:LONGEST_QUOTE],
    )
    return _write(conversation_id, data, by)


def withdraw_note(conversation_id: int, version: int, *, by: Any) -> Event:
    """Withdraw one's own note: version `version` of the stream beside the conversation.

    It stays in the log. Raises RemarkRefused.
    """
    stream = found(review_of(conversation_id))
    events = Event.objects.using(log_database())
    note = stream and events.filter(stream_id=stream, version=version).first()
    mine = Actor.objects.id_of(by)
    if not note or note.type != NoteAdded.__name__ or note.actor_id != mine or mine is None:
        raise RemarkRefused(_("Expected a note of your own, found none: nothing was withdrawn."))
    return _write(conversation_id, NoteWithdrawn(version), by)


def give_score(
    conversation_id: int,
    name: str,
    value: Any,
    *,
    by: Any,
    turn_id: uuid.UUID | None = None,
    comment: str = "",
) -> Event:
    """Judge a conversation, or one of its turns, by one of TURNLOG["SCORES"].

    `value` is one of the choices, a number within the bounds, True or False; None says that one
    cannot judge. Raises RemarkRefused, UnknownTurn, UnknownConversation.
    """
    if name not in (known := conf.get().scores):
        raise RemarkRefused(
            _("Expected a score of %(known)s, found %(name)s.")
            % {"known": ", ".join(known) or "–", "name": wellformed(str(name))[:64]}
        )
    _require_value(name, known[name], value)
    text = _at_most(LONGEST_NOTE, comment)
    data = ScoreGiven(name, value, _turn(conversation_id, turn_id), text)
    return _write(conversation_id, data, by)


def sign_off(conversation_id: int, *, by: Any, until: int, remark: str = "") -> Event:
    """Record that a user has reviewed a conversation up to its version `until`.

    Raises RemarkRefused if it has no such version, and UnknownConversation.
    """
    events = Event.objects.using(log_database())
    if not events.filter(stream_id=conversation_id, version=until).exists():
        _require(conversation_id)
        raise RemarkRefused(
            _("Expected a version of conversation %(number)d, found %(version)d.")
            % {"number": conversation_id, "version": until}
        )
    return _write(conversation_id, ReviewSignedOff(until, _at_most(LONGEST_NOTE, remark)), by)


def _write(conversation_id: int, data: EventData, by: Any) -> Event:
    using = log_database()
    with locking(using):
        begin_writing()
        # Before looking whether the turn is erased, and until the commit: an erasure comes either
        # before, and nothing is written about it; or after, and it finds what was written. The
        # conversation first, then the stream beside it: in the order of an erasure.
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [conversation_id])
        _require(conversation_id)
        turn = getattr(data, "turn", None)
        if turn is not None and _is_erased(conversation_id, turn):
            raise RemarkRefused(
                _("Expected a turn that is not erased, found turn %(turn)s: nothing was written.")
                % {"turn": turn}
            )
        return append(opened(review_of(conversation_id)), [NewEvent(data, user=by)])[-1]


def _is_erased(conversation_id: int, turn: str) -> bool:
    """Whether none of a turn's words are left."""
    events = Event.objects.using(log_database()).filter(
        stream_id=conversation_id, turn_id=uuid.UUID(turn)
    )
    words = events.exclude(type__in=NEVER_ERASED).annotate(gone=Q(payload__isnull=True))
    return set(words.order_by().values_list("gone", flat=True).distinct()) == {True}


def _require(conversation_id: int) -> None:
    if not rows().filter(pk=conversation_id, beside=None).exists():
        raise UnknownConversation(conversation_id)


def _require_value(name: str, kind: Any, value: Any) -> None:
    if value is None:
        return
    if kind == "yes/no":
        fits, expected = isinstance(value, bool), "True, False"
    elif isinstance(kind[0], str):
        fits, expected = value in kind, ", ".join(kind)
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits, expected = number and kind[0] <= value <= kind[1], f"{kind[0]}..{kind[1]}"
    if not fits:
        raise RemarkRefused(
            _("%(name)s: expected %(expected)s, found %(value)s.")
            % {"name": name, "expected": expected, "value": wellformed(str(value))[:64]}
        )


def _turn(conversation_id: int, turn_id: uuid.UUID | None) -> str | None:
    if turn_id is None:
        return None
    events = Event.objects.using(log_database())
    if not events.filter(stream_id=conversation_id, turn_id=turn_id).exists():
        _require(conversation_id)
        raise UnknownTurn(conversation_id, turn_id, "nothing was written")
    return str(turn_id)


def _at_most(most: int, text: str) -> str:
    if len(text) > most:
        raise RemarkRefused(
            _("Expected at most %(most)d characters, found %(found)d.")
            % {"most": most, "found": len(text)}
        )
    return wellformed(text)
