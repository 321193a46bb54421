"""Reading past moments of long conversations."""

from __future__ import annotations

from typing import Any

from django.db import connection

from turnlog.core import codec
from turnlog.events.models import Conversation
from turnlog.projections.travel.moments import as_of

from .setting import answer, human, ratio

LONG = 10_000
BEFORE = (100, 100_000)
TURNS_AFTER = 50


def conversation(user: Any, turns: int) -> Conversation:
    made = Conversation.objects.create(user=user)
    for _ in range(turns):
        made.record_turn(human(), answer(), user=user)
    return made


def middle(user: Any) -> float:
    """The moment in the middle, against the bare SELECT of what is visible then, and building the
    same messages of it."""
    pk = conversation(user, LONG).pk
    version = 1 + LONG

    def raw() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT payload FROM turnlog_event WHERE stream_id = %s AND version <= %s"
                " AND type IN ('MessageAppended', 'ToolOutputRecorded') ORDER BY version",
                [pk, version],
            )
            return [codec.loads(text) for (text,) in cursor.fetchall()]

    def ours() -> list[Any]:
        return as_of(pk, version=version).messages

    assert ours() == raw()
    return ratio(ours, raw, 15)


def after_a_clearing(user: Any) -> float:
    """The same moment after 100,000 events and a clearing, and after 100 and a clearing."""
    short, long = (_cleared(user, events) for events in BEFORE)
    moments = [(room.pk, room.clear(by=user).version - 1) for room in (short, long)]

    def read(moment: tuple[int, int]) -> Any:
        pk, version = moment
        return lambda: [as_of(pk, version=version).messages for _ in range(10)]

    return ratio(read(moments[1]), read(moments[0]), 7)


def _cleared(user: Any, events: int) -> Conversation:
    made = conversation(user, events // 2)
    made.clear(by=user)
    for _ in range(TURNS_AFTER):
        made.record_turn(human(), answer(), user=user)
    return made
