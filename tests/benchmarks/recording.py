"""Recording turns, and loading them again."""

from __future__ import annotations

import statistics
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


def by_many(user: Any) -> float:
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
    return ratio(ours, raw, 7)
