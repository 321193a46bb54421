"""What a rebuild would do to people who write meanwhile, were it not for its lock.

Each damage is done here without the lock, and not done with it. On SQLite there is nothing to
show: whoever rebuilds is the only writer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from langchain_core.messages import AIMessage

from tests.project.tally.models import Tally
from tests.waiting import somebody_waits
from turnlog.events import hooks
from turnlog.events.models import Conversation
from turnlog.events.store.dialect import PostgreSQL
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.making import Inline
from turnlog.projections.engine.registry import named
from turnlog.projections.models import ConversationMessage

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

MESSAGES, TALLY = named(["messages", "tally"])


@pytest.fixture(params=[True, False], ids=["locked", "unlocked"])
def locked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(PostgreSQL, "lock_streams", lambda *args, **options: None)
    return bool(request.param)


@pytest.fixture
def inline_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(TALLY), "inline", True)
    monkeypatch.setattr(hooks, "inline_projections", [*hooks.inline_projections, Inline(TALLY, "")])


@pytest.fixture
def room(inline_tally: None) -> Conversation:
    room = Conversation.objects.create()
    room.record_turn("a secret", AIMessage("ok"))
    return room


def race(
    projection: Any,
    room: Conversation,
    act: Callable[[], Any],
    *,
    pause_after: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebuild a conversation while somebody else acts in the middle of it.

    The rebuild pauses within its transaction until the other has committed, or waits for it.
    """
    acting = threading.Thread(target=lambda: (act(), connection.close()))
    original = getattr(type(projection), pause_after)

    def pause(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        monkeypatch.setattr(type(projection), pause_after, original)
        acting.start()
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)

    monkeypatch.setattr(type(projection), pause_after, pause)
    rebuild_chunk(projection, [room.pk])
    acting.join()


def letters(room: Conversation) -> int:
    return Tally.objects.get(conversation=room).letters


def test_nothing_is_lost(room: Conversation, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer's update is of a row that the rebuild has just replaced by another."""

    def act() -> None:
        room.record_turn("more", AIMessage("ok"))

    race(TALLY, room, act, pause_after="apply", monkeypatch=monkeypatch)
    assert (letters(room) == 16) is locked
    assert (differences(TALLY, [room.pk]) == {}) is locked


def test_nothing_is_doubled(
    room: Conversation, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's row is there, and its events are in the log that the rebuild then reads."""

    def act() -> None:
        room.record_turn("more", AIMessage("ok"))

    # Without the row that both would wait for: the writer's own is another.
    Tally.objects.all().delete()
    race(TALLY, room, act, pause_after="reset", monkeypatch=monkeypatch)
    assert (letters(room) == 16) is locked
    assert (differences(TALLY, [room.pk]) == {}) is locked


def test_a_clearing_is_not_undone(
    room: Conversation, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ConversationMessage.objects.all().delete()  # What is right already is not written again.
    race(MESSAGES, room, room.clear, pause_after="rebuild", monkeypatch=monkeypatch)
    assert (ConversationMessage.objects.count() == 0) is locked
    assert (differences(MESSAGES, [room.pk]) == {}) is locked


def test_what_is_erased_does_not_come_back(
    room: Conversation, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words could not, with or without the lock: they are in the event alone."""

    def erase() -> None:
        room.erase(reason="request 7")

    ConversationMessage.objects.all().delete()
    race(MESSAGES, room, erase, pause_after="rebuild", monkeypatch=monkeypatch)
    assert ConversationMessage.objects.exists() is not locked
    assert not ConversationMessage.objects.filter(content__contains="a secret").exists()
    assert (differences(MESSAGES, [room.pk]) == {}) is locked
