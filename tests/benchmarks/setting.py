"""The setting of all figures: a PostgreSQL of its own, messages, and raw psycopg beside ours."""

from __future__ import annotations

import gc
import os
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

os.environ["TURNLOG_TEST_DATABASE"] = "postgresql"
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.project.settings"
os.environ["TURNLOG_TEST_FSYNC"] = "on"

import django

django.setup()

import psycopg
from django.db import connection
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.events.models import Event
from turnlog.events.tables.columns import EVENT_COLUMNS

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


def connect() -> psycopg.Connection[Any]:
    """A connection of psycopg's own to the same database."""
    parameters = connection.get_connection_params()
    return psycopg.connect(
        **{key: parameters[key] for key in ("dbname", "user", "host") if key in parameters},
        autocommit=True,
    )


class Raw:
    """psycopg doing BEGIN, the two INSERTs of the same rows, COMMIT; rows made beforehand."""

    columns = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
    marks = ", ".join(["(" + ", ".join(["%s"] * len(EVENT_COLUMNS)) + ")"] * 2)
    events = f"INSERT INTO turnlog_event ({columns}) VALUES {marks}"
    messages = (
        "INSERT INTO turnlog_message"
        " (conversation_id, version, user_id, actor_id, turn_id, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s)"
    )

    def __init__(self, stream_id: int, user_id: int, template: list[Event]) -> None:
        self.connection = connect()
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
                event.recorded_at,
            ]
        return events, messages

    def record(self, events: list[Any], messages: list[Any]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(self.events, events)
            cursor.execute(self.messages, messages)
            cursor.execute("COMMIT")

    def record_next(self) -> bool:
        """Record a turn after whatever the conversation has; False if another was faster."""
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "SELECT coalesce(max(version), 0) FROM turnlog_event WHERE stream_id = %s",
                [self.stream_id],
            )
            [self.version] = cursor.fetchone() or [0]
            events, messages = self.rows()
            try:
                cursor.execute(self.events, events)
                cursor.execute(self.messages, messages)
                cursor.execute("COMMIT")
            except psycopg.errors.UniqueViolation:
                cursor.execute("ROLLBACK")
                return False
        return True


def timed(work: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    """Seconds, without the garbage collector, as timeit measures them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        work(*arguments, **options)
        return time.perf_counter() - start
    finally:
        if collecting:
            gc.enable()


def ratio(ours: Callable[[], Any], theirs: Callable[[], Any], times: int) -> float:
    """How many times as long ours takes, the medians of several runs in turn."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(times)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
