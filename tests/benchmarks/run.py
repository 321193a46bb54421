"""Prints turnlog's figures as ratios against raw psycopg on the same PostgreSQL, in one run.

python -m tests.benchmarks.run
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ["TURNLOG_TEST_DATABASE"] = "postgresql"
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.project.settings"

import django

django.setup()

import psycopg
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.core import codec
from turnlog.events.dialects import EVENT_COLUMNS
from turnlog.events.models import Conversation, Event
from turnlog.projections.models import ConversationMessage

TURNS = 400
CLIENTS = range(8)
TURNS_OF_A_CLIENT = 100
LONG_CONVERSATION = 2000

TEXT = "카페라떼 한 잔을 따뜻하게 주문하고 싶어요. " * 12
USAGE = {"input_tokens": 139, "output_tokens": 214, "total_tokens": 353}


def human() -> HumanMessage:
    return HumanMessage(TEXT[:200])


def answer() -> AIMessage:
    return AIMessage(
        TEXT,
        id=f"run-{uuid.uuid4()}",
        usage_metadata=USAGE,
        response_metadata={"model_name": "gpt-4o", "finish_reason": "stop"},
    )


class Raw:
    """psycopg doing BEGIN, the two INSERTs of the same rows, COMMIT; rows made beforehand."""

    columns = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
    marks = ", ".join(["(" + ", ".join(["%s"] * len(EVENT_COLUMNS)) + ")"] * 2)
    events = f"INSERT INTO turnlog_event ({columns}) VALUES {marks}"
    messages = (
        "INSERT INTO turnlog_message"
        " (conversation_id, version, user_id, actor_id, turn_id, content, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s, %s)"
    )

    def __init__(self, stream_id: int, user_id: int, template: list[Event]) -> None:
        parameters = connection.get_connection_params()
        parameters.pop("cursor_factory", None)
        self.connection = psycopg.connect(
            **{key: parameters[key] for key in ("dbname", "user", "host") if key in parameters},
            autocommit=True,
        )
        self.stream_id, self.user_id, self.template, self.version = stream_id, user_id, template, 0

    def rows(self) -> tuple[list[Any], list[Any]]:
        events, messages = [], []
        turn_id = uuid.uuid4()
        for event in self.template:
            self.version += 1
            changed = {"stream_id": self.stream_id, "version": self.version, "turn_id": turn_id}
            events += [changed.get(name, getattr(event, name)) for name in EVENT_COLUMNS]
            messages += [
                *(self.stream_id, self.version, self.user_id, event.actor_id, turn_id),
                *(event.payload, event.recorded_at),
            ]
        return events, messages

    def record(self, events: list[Any], messages: list[Any]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(self.events, events)
            cursor.execute(self.messages, messages)
            cursor.execute("COMMIT")


def timed(work: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    start = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - start


def recording(user: Any) -> float:
    ours = Conversation.objects.create(user=user)
    template = ours.record_turn(human(), answer(), user=user)[-2:]
    raw = Raw(Conversation.objects.create(user=user).pk, user.pk, template)
    mine, theirs = [], []
    for _ in range(TURNS):
        question, reply, rows = human(), answer(), raw.rows()
        mine.append(timed(ours.record_turn, question, reply, user=user))
        theirs.append(timed(raw.record, *rows))
    raw.connection.close()
    return statistics.median(mine) / statistics.median(theirs)


def recording_by_many(user: Any) -> float:
    """How much of raw psycopg's rate eight clients reach; rows and messages made beforehand."""
    template = Conversation.objects.create(user=user).record_turn(human(), answer(), user=user)[-2:]
    per_client = range(TURNS_OF_A_CLIENT)

    def ours(client: tuple[int, list[Any]]) -> None:
        pk, messages = client
        conversation = Conversation.objects.get(pk=pk)
        for question, reply in messages:
            conversation.record_turn(question, reply, user=user)
        connection.close()

    def theirs(client: tuple[Raw, list[Any]]) -> None:
        raw, rows = client
        for events, messages in rows:
            raw.record(events, messages)
        raw.connection.close()

    def seconds(work: Callable[[Any], None], clients: list[Any]) -> float:
        with ThreadPoolExecutor(len(clients)) as pool:
            return timed(lambda: list(pool.map(work, clients)))

    def pks() -> list[int]:
        return [Conversation.objects.create(user=user).pk for _ in CLIENTS]

    ratios = []
    for _ in range(5):
        raws = [Raw(pk, user.pk, template) for pk in pks()]
        raw_seconds = seconds(theirs, [(raw, [raw.rows() for _ in per_client]) for raw in raws])
        turns = [(pk, [(human(), answer()) for _ in per_client]) for pk in pks()]
        ratios.append(raw_seconds / seconds(ours, turns))
    return statistics.median(ratios)


def loading(user: Any) -> float:
    conversation = Conversation.objects.create(user=user)
    for _ in range(LONG_CONVERSATION):
        conversation.record_turn(human(), answer(), user=user)

    def raw() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT content FROM turnlog_message WHERE conversation_id = %s AND user_id = %s"
                " ORDER BY version",
                [conversation.pk, user.pk],
            )
            return [codec.loads(text) for (text,) in cursor.fetchall()]

    def ours() -> list[Any]:
        return ConversationMessage.objects.get_histories(conversation, user)

    raw()
    pairs = [(timed(ours), timed(raw)) for _ in range(7)]
    return statistics.median(mine for mine, _ in pairs) / statistics.median(r for _, r in pairs)


def main() -> int:
    from django.contrib.auth import get_user_model

    previous = setup_databases(verbosity=0, interactive=False)
    try:
        user = get_user_model().objects.create(username="bench")
        figures = [
            ("one turn recorded, p50, times raw", recording(user), "at most", 2.0),
            ("8 clients recording, of raw's rate", recording_by_many(user), "at least", 0.5),
            ("previous messages of 2,000 turns, times raw", loading(user), "at most", 1.2),
        ]
    finally:
        teardown_databases(previous, verbosity=0)
    missed = 0
    for name, ratio, bound, limit in figures:
        reached = ratio <= limit if bound == "at most" else ratio >= limit
        missed += not reached
        print(f"{name:48} {ratio:5.2f}   {bound} {limit}  {'reached' if reached else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
