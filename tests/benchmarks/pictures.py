"""Recording a turn with a picture of 5 MB."""

from __future__ import annotations

import os
import statistics
from base64 import b64encode
from hashlib import sha256
from typing import Any

from django.db import connection
from langchain_core.messages import HumanMessage

from turnlog.events.models import Conversation

from .setting import Raw, answer, timed

BYTES = 5_000_000
TURNS = 15


def recording(user: Any) -> float:
    """A turn with a picture, against its bytes and the turn's rows in one transaction."""
    ours = Conversation.objects.create(user=user)
    template = ours.record_turn(_message(os.urandom(BYTES)), answer(), user=user)[-2:]
    raw = Raw(Conversation.objects.create(user=user).pk, user.pk, template)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE raw_blob (sha256 char(64) PRIMARY KEY, data bytea NOT NULL)")
    mine, theirs = [], []
    for _ in range(TURNS):
        data, other = os.urandom(BYTES), os.urandom(BYTES)
        question, reply, rows, key = _message(data), answer(), raw.rows(), sha256(other).hexdigest()
        mine.append(timed(ours.record_turn, question, reply, user=user))
        theirs.append(timed(_record, raw, key, other, rows))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE raw_blob")
    raw.connection.close()
    return statistics.median(mine) / statistics.median(theirs)


def _message(data: bytes) -> HumanMessage:
    image = {"type": "image", "base64": b64encode(data).decode(), "mime_type": "image/jpeg"}
    return HumanMessage([{"type": "text", "text": "What is this?"}, image])


def _record(raw: Raw, key: str, data: bytes, rows: tuple[list[Any], list[Any]]) -> None:
    with raw.connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO raw_blob (sha256, data) VALUES (%s, %s)", [key, data])
        cursor.execute(raw.events, rows[0])
        cursor.execute(raw.messages, rows[1])
        cursor.execute("COMMIT")
