"""What a conversation of 20,000 turns costs, against one of 100."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connection, transaction

from turnlog.events.models import Conversation
from turnlog.projections.transcript import read_transcript

from .setting import answer, human, timed

TURNS = (100, 20_000)
TIMES = 150


def opening(user: Any) -> float:
    return _ratio(user, lambda room: read_transcript(room.pk, user, limit=50))


def waking(user: Any) -> float:
    return _ratio(user, lambda room: read_transcript(room.pk, user, after=room.head, limit=50))


def recording(user: Any) -> float:
    return _ratio(user, lambda room: room.record_turn(human(), answer(), user=user))


def starting(user: Any) -> float:
    def start_and_end(room: Any) -> None:
        room.fail_turn(room.start_turn(human(), user=user).turn_id)

    return _ratio(user, start_and_end)


def _ratio(user: Any, act: Callable[[Any], Any]) -> float:
    """The medians of many times, in turn, because the two differ by little."""
    short, long = rooms = _rooms(user)
    for room in rooms:
        room.head = room.messages.order_by("-version").values_list("version", flat=True)[0]
        act(room)
    pairs = [(timed(act, long), timed(act, short)) for _ in range(TIMES)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


@cache
def _rooms(user: Any) -> tuple[Any, Any]:
    rooms = [Conversation.objects.create(user=user) for _ in TURNS]
    for room, turns in zip(rooms, TURNS, strict=True):
        with transaction.atomic():
            for _ in range(turns):
                room.record_turn(human(), answer(), user=user)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return rooms[0], rooms[1]
