"""On SQLite nobody is told that the database is locked: whoever writes waits for their turn."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test.utils import isolate_apps
from langchain_core.messages import AIMessage

from turnlog.events.erasure.users import forget_user
from turnlog.events.models import Actor, Conversation
from turnlog.events.rooms import ConversationRoom

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]

WRITERS, TIMES = 8, 10


def by_eight(act: Callable[[Any], object]) -> None:
    """The same from eight threads again and again, each with a user object of its own."""
    users = get_user_model().objects
    users.create_user("ada")

    def work(number: int) -> None:
        try:
            for _ in range(TIMES):
                act(users.get(username="ada"))
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))


def test_opening_conversations_of_somebody() -> None:
    """Its save() is a transaction: the owner's pseudonym is read in it, then the row written."""
    by_eight(lambda user: Conversation.objects.create(user=user))
    assert Conversation.objects.count() == WRITERS * TIMES
    assert Actor.objects.count() == 1


def test_turns_and_clearings_of_somebody() -> None:
    room = Conversation.objects.create()

    def act(user: Any) -> None:
        room.record_turn("hello", AIMessage("hi"), user=user)
        room.clear(by=user)

    by_eight(act)
    assert Actor.objects.count() == 1


def test_forks_of_somebody() -> None:
    room = Conversation.objects.create()
    room.record_turn("hello", AIMessage("hi"))
    by_eight(lambda user: room.fork(user=user))
    assert Conversation.objects.count() == 1 + WRITERS * TIMES


def test_erasing_and_forgetting_somebody() -> None:
    rooms = [Conversation.objects.create() for _ in range(2)]

    def act(user: Any) -> None:
        for room in rooms:
            room.record_turn("hello", AIMessage("hi"), user=user)
        rooms[0].erase(by=user, reason="request 7")
        Conversation.objects.create().hold(reason="case 12")
        forget_user(user)

    by_eight(act)
    assert not Actor.objects.exists()


@isolate_apps("turnlog.events")
def test_opening_rooms_of_somebody() -> None:
    """A room's save() is a transaction, too, and its conversation's within it."""

    class Room(ConversationRoom):
        owner_id = models.IntegerField()

        class Meta:
            app_label = "turnlog_events"

        def get_conversation_owner(self) -> Any:
            return get_user_model().objects.get(pk=self.owner_id)

    with connection.schema_editor() as editor:
        editor.create_model(Room)
    try:
        by_eight(lambda user: Room.objects.create(owner_id=user.pk))
        assert Room.objects.count() == WRITERS * TIMES
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Room)
