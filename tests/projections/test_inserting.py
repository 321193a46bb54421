"""Rows by COPY are the rows that bulk_create makes."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests.project.tally.models import Line, Tally
from turnlog.projections.engine.bulk_insert import insert, insert_values
from turnlog.projections.models import Checkpoint, Parked

pytestmark = pytest.mark.django_db

NAMES = ("conversation_id", "version", "turn_id", "actor_id", "content", "created_at")


def values(conversation: Any) -> list[tuple[Any, ...]]:
    at = timezone.now()
    east = dt.timezone(dt.timedelta(hours=9))
    texts = ("", "\t\n\\\\N", "한국어 😀", "NULL")
    return [
        (conversation.pk, n, uuid.uuid4() if n % 2 else None, None, text, at.astimezone(east))
        for n, text in enumerate(texts)
    ]


def stored() -> list[tuple[Any, ...]]:
    return list(Line.objects.order_by("version").values_list(*NAMES))


def test_instances_and_values_come_out_as_they_went_in(conversation: Any) -> None:
    rows = values(conversation)
    insert([Line(**dict(zip(NAMES, row, strict=True))) for row in rows])
    assert stored() == rows
    Line.objects.all().delete()
    insert_values(Line, NAMES, iter(rows))
    assert stored() == rows
    Line.objects.all().delete()
    insert_values(Line, ("conversation", *NAMES[1:]), rows)
    assert stored() == rows


def test_nothing_is_inserted_of_nothing() -> None:
    insert([])
    insert_values(Line, NAMES, [])
    assert stored() == []


def test_defaults_and_times_of_insertion_are_kept(conversation: Any) -> None:
    insert([Tally(conversation=conversation)])
    assert Tally.objects.get().messages == 0
    insert([Parked(projection="tally", stream_id=1, version=1, error="e")])
    assert abs(Parked.objects.get().parked_at - timezone.now()) < dt.timedelta(minutes=1)
    insert([Checkpoint(name="other", version=1, inline=False)])
    assert Checkpoint.objects.get(name="other").position == 0


def test_what_the_database_refuses_is_djangos_error(conversation: Any) -> None:
    rows = values(conversation)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_values(Line, NAMES, [rows[0], rows[0]])
    assert stored() == []
