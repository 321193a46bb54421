"""Recording turns, and loading them again."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from turnlog.core import codec
from turnlog.events.models import Conversation
from turnlog.projections.models import ConversationMessage

from .setting import Raw, answer, human, ratio, timed

TURNS = 400
CLIENTS = range(8)
TURNS_OF_A_CLIENT = 100
TURNS_OF_A_WRITER = 25
LONG_CONVERSATION = 2000


def alone(user: Any) -> float:
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


def started(user: Any) -> float:
    """A turn's start and its record together, as chats do it, against one raw record."""
    ours = Conversation.objects.create(user=user)
    template = ours.record_turn(human(), answer(), user=user)[-2:]
    raw = Raw(Conversation.objects.create(user=user).pk, user.pk, template)
    mine, theirs = [], []

    def turn(question: Any, reply: Any) -> None:
        turn_id = ours.start_turn(question, user=user).turn_id
        ours.record_turn(question, reply, user=user, turn_id=turn_id)

    for _ in range(TURNS):
        question, reply, rows = human(), answer(), raw.rows()
        mine.append(timed(turn, question, reply))
        theirs.append(timed(raw.record, *rows))
    raw.connection.close()
    return statistics.median(mine) / statistics.median(theirs)


def in_one(user: Any) -> float:
    """How much of raw psycopg's rate eight writers of one conversation reach.

    Raw reads the version, inserts after it, and starts again if another writer was faster.
    """
    shared = Conversation.objects.create(user=user)
    template = shared.record_turn(human(), answer(), user=user)[-2:]
    per_writer = range(TURNS_OF_A_WRITER)

    def ours(pk: int, messages: list[Any], ready: Callable[[], Any]) -> None:
        conversation = Conversation.objects.get(pk=pk)
        ready()
        for question, reply in messages:
            conversation.record_turn(question, reply, user=user)
        ready()
        connection.close()

    def theirs(raw: Raw, rows: list[Any], ready: Callable[[], Any]) -> None:
        ready()
        for _ in rows:
            while not raw.record_next():
                pass
        ready()
        raw.connection.close()

    ratios = []
    for _ in range(3):
        pk = Conversation.objects.create(user=user).pk
        turns = [[(human(), answer()) for _ in per_writer] for _ in CLIENTS]
        raw_pk = Conversation.objects.create(user=user).pk
        raws = [Raw(raw_pk, user.pk, template) for _ in CLIENTS]
        raw_seconds = _seconds(theirs, raws, turns)
        seconds = _seconds(ours, [pk] * len(CLIENTS), turns)
        print(f"    {len(CLIENTS) * TURNS_OF_A_WRITER / seconds:.0f} turns a second", flush=True)
        ratios.append(raw_seconds / seconds)
    return statistics.median(ratios)


def by_many(user: Any) -> float:
    """How much of raw psycopg's rate eight clients reach.

    Rows, messages and connections are made beforehand, and each client's first turn is not counted.
    """
    template = Conversation.objects.create(user=user).record_turn(human(), answer(), user=user)[-2:]
    per_client = range(TURNS_OF_A_CLIENT)

    def ours(pk: int, messages: list[Any], ready: Callable[[], Any]) -> None:
        conversation = Conversation.objects.get(pk=pk)
        conversation.record_turn(human(), answer(), user=user)
        ready()
        for question, reply in messages:
            conversation.record_turn(question, reply, user=user)
        ready()
        connection.close()

    def theirs(raw: Raw, rows: list[Any], ready: Callable[[], Any]) -> None:
        raw.record(*raw.rows())
        ready()
        for events, messages in rows:
            raw.record(events, messages)
        ready()
        raw.connection.close()

    ratios = []
    for _ in range(5):
        raws = [Raw(pk, user.pk, template) for pk in _conversations(user)]
        turns = [[(human(), answer()) for _ in per_client] for _ in CLIENTS]
        rows = [[raw.rows() for _ in per_client] for raw in raws]
        raw_seconds = _seconds(theirs, raws, rows)
        ratios.append(raw_seconds / _seconds(ours, _conversations(user), turns))
    return statistics.median(ratios)


def _conversations(user: Any) -> list[int]:
    return [Conversation.objects.create(user=user).pk for _ in CLIENTS]


def _seconds(work: Callable[..., None], clients: list[Any], turns: list[Any]) -> float:
    """From when all clients are ready until all of them have done their turns."""
    ready = threading.Barrier(len(clients) + 1)
    with ThreadPoolExecutor(len(clients)) as pool:
        done = [pool.submit(work, *each, ready.wait) for each in zip(clients, turns, strict=True)]
        ready.wait()
        seconds = timed(ready.wait)
        for future in done:
            future.result()
    return seconds


def loading(user: Any) -> float:
    conversation = Conversation.objects.create(user=user)
    for _ in range(LONG_CONVERSATION):
        conversation.record_turn(human(), answer(), user=user)

    def raw() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT e.payload FROM turnlog_message m JOIN turnlog_event e"
                " ON e.stream_id = m.conversation_id AND e.version = m.version"
                " WHERE m.conversation_id = %s AND m.user_id = %s ORDER BY m.version",
                [conversation.pk, user.pk],
            )
            return [codec.loads(text) for (text,) in cursor.fetchall()]

    def ours() -> list[Any]:
        return ConversationMessage.objects.get_histories(conversation, user)

    raw()
    return ratio(ours, raw, 7)
