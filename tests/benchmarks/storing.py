"""What a turn takes on disk."""

from __future__ import annotations

from typing import Any

from django.db import connection
from langchain_core.messages import ToolMessage

from turnlog.core import codec
from turnlog.events.log import read
from turnlog.events.models import Conversation
from turnlog.events.store.sequence import sequence

from .setting import TEXT, answer, human

TURNS = 3000
_OURS = ("turnlog_event", "turnlog_message", "turnlog_pending", "turnlog_position")


def bytes_a_turn(user: Any) -> float:
    """Bytes of log, chain, positions and message list, against one raw table of the messages.

    A third of the turns has a tool's output of 4 KB.
    """
    before = _size(*_OURS)
    conversation = Conversation.objects.create(user=user)
    for number in range(TURNS):
        output = ToolMessage(TEXT[:100] * 14, tool_call_id=f"call-{number}", name="look_up")
        conversation.record_turn(human(), answer(), [output] * (number % 3 == 0), user=user)
    sequence()
    ours = _size(*_OURS) - before
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE raw_message (id bigserial PRIMARY KEY, conversation_id bigint NOT NULL,"
            " user_id integer, content text NOT NULL, created_at timestamptz NOT NULL)"
        )
        cursor.execute("CREATE INDEX ON raw_message (conversation_id)")
        for event in read(conversation.pk):
            if event.turn_id is not None:
                cursor.execute(
                    "INSERT INTO raw_message (conversation_id, user_id, content, created_at)"
                    " VALUES (%s, %s, %s, %s)",
                    [conversation.pk, user.pk, _message(event), event.recorded_at],
                )
    raw = _size("raw_message")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE raw_message")
    return ours / raw


def _message(event: Any) -> str:
    """The message itself, as a table of messages would have it."""
    payload = event.payload
    if event.type == "ToolOutputRecorded":
        payload = codec.to_json(event.data.output)
    text: str = payload
    return text


def _size(*tables: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute(f"SELECT {' + '.join(f'pg_total_relation_size({t!r})' for t in tables)}")
        size: int = cursor.fetchone()[0]
    return size
