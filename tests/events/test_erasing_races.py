"""Nothing brings erased words back, whoever is at work at that moment.

Each damage is done here without the lock, and not done with it. On SQLite there is nothing to
show: whoever erases is the only writer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, require_sound
from tests.everywhere import places_of
from tests.waiting import somebody_waits
from turnlog.core import retrying
from turnlog.events import forks
from turnlog.events.erasure.users import forget_user
from turnlog.events.models import Actor, Content, Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.proof.verification import Verifier
from turnlog.events.store.dialect import PostgreSQL
from turnlog.events.store.sequence import sequence
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import ConversationMessage

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

SEARCH, LINES = named(["search", "lines"])


@pytest.fixture
def room() -> Conversation:
    room = Conversation.objects.create()
    room.record_turn(WORD, AIMessage("ok"))
    return room


def erase_meanwhile(room: Conversation) -> Callable[[], threading.Thread]:
    """Something that starts an erasure, and returns once that is done or waits for us."""

    def act() -> None:
        room.erase(reason="request 7")
        connection.close()

    def start() -> threading.Thread:
        acting = threading.Thread(target=act)
        acting.start()
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)
        return acting

    return start


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize("projection", [SEARCH, LINES], ids=["search", "lines"])
def test_a_worker_does_not_write_them_again(
    room: Conversation, projection: Any, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the events, and writes their rows once they are erased."""
    if not locked:
        monkeypatch.setattr(PostgreSQL, "lock_projection", lambda *args, **options: None)
    sequence()
    original = type(projection).apply
    threads = []

    def apply(self: Any, events: Any) -> None:
        monkeypatch.setattr(type(projection), "apply", original)
        threads.append(erase_meanwhile(room)())
        original(self, events)

    monkeypatch.setattr(type(projection), "apply", apply)
    Worker([projection]).turn()
    threads[0].join()
    assert (places_of(WORD) == []) is locked
    if locked:
        require_sound(room)


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
def test_what_is_being_recorded_is_erased_too(
    room: Conversation, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not locked:
        monkeypatch.setattr(PostgreSQL, "lock_streams", lambda *args, **options: None)
    with transaction.atomic():
        room.clear(reason=WORD)
        if not locked:
            # Without its lock an erasure would only wait at the unique version.
            monkeypatch.setattr(retrying, "LOST_RACES", 2)
        acting = erase_meanwhile(room)()
    acting.join()
    assert (places_of(WORD) == []) is locked


def test_a_fork_copies_nothing_that_is_being_erased(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork is in the middle of copying: the erasure waits, and follows it."""
    original = forks._copy_of
    threads = []

    def copy_of(event: Any) -> Any:
        if not threads:
            threads.append(erase_meanwhile(room)())
        return original(event)

    monkeypatch.setattr(forks, "_copy_of", copy_of)
    fork = room.fork()
    threads[0].join()
    assert places_of(WORD) == []
    require_sound(room, fork)


def test_two_erasures_wait_for_each_other(room: Conversation) -> None:
    with transaction.atomic():
        first = room.erase(reason="request 7")
        acting = erase_meanwhile(room)()
    acting.join()
    assert first
    assert room.erase(reason="request 8").records == ()
    require_sound(room)


def prompted(room: Conversation, user: Any = None) -> None:
    prompt = Prompt("model", {}, f"Answer {WORD} lovers.", previous={"messages": []})
    turn = room.start_turn("hello", user=user, prompt=prompt)
    room.record_turn("hello", AIMessage("ok"), user=user, turn_id=turn.turn_id)


def test_of_two_erasures_one_takes_the_prompt_that_they_share() -> None:
    rooms = [Conversation.objects.create() for _ in range(2)]
    for room in rooms:
        prompted(room)
    with transaction.atomic():
        rooms[0].erase(reason="request 7")
        acting = erase_meanwhile(rooms[1])()
    acting.join()
    assert places_of(WORD) == []


@pytest.mark.parametrize("first", ["the turn", "the erasure"])
def test_a_turn_keeps_its_prompt_though_an_erasure_is_at_it(first: str) -> None:
    rooms = [Conversation.objects.create() for _ in range(2)]
    prompted(rooms[0])

    def start() -> None:
        prompted(rooms[1])
        connection.close()

    with transaction.atomic():
        if first == "the turn":
            prompted(rooms[1])
            acting = erase_meanwhile(rooms[0])()
        else:
            rooms[0].erase(reason="request 7")
            acting = threading.Thread(target=start)
            acting.start()
            while acting.is_alive() and not somebody_waits():
                acting.join(0.01)
    acting.join()
    [started] = Event.objects.filter(type="TurnStarted", payload__isnull=False)
    assert Content.objects.get().pk == started.data.system_prompt
    assert list(Verifier().whole()) == []


@pytest.mark.parametrize("how", ["forgotten", "deleted"])
def test_who_is_forgotten_while_they_speak_is_named_nowhere(
    how: str, django_user_model: Any
) -> None:
    user = django_user_model.objects.create_user("ada")
    room = Conversation.objects.create()
    room.record_turn("first", AIMessage("ok"), user=user)
    failed: list[Exception] = []

    def act() -> None:
        other = django_user_model.objects.get(pk=user.pk)
        try:
            forget_user(other) if how == "forgotten" else other.delete()
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)
        connection.close()

    acting = threading.Thread(target=act)
    with transaction.atomic():
        room.record_turn("second", AIMessage("ok"), user=user)
        acting.start()
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)
    acting.join()
    assert failed == []
    assert not ConversationMessage.objects.exclude(user_id=None).exists()
    require_sound(room)


def test_a_hold_that_is_being_placed_is_waited_for(room: Conversation) -> None:
    refused: list[Exception] = []

    def act() -> None:
        try:
            room.erase(reason="request 7")
        except Exception as error:  # noqa: BLE001 - looked at below
            refused.append(error)
        connection.close()

    acting = threading.Thread(target=act)
    with transaction.atomic():
        room.hold(reason="case 12")
        acting.start()
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)
    acting.join()
    assert [type(error).__name__ for error in refused] == ["LegalHold"]
    assert places_of(WORD) != []


def test_whoever_is_being_forgotten_speaks_as_somebody_new(
    room: Conversation, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    """The append waits for the transaction that forgets them, and looks again."""
    user = django_user_model.objects.create_user("ada")
    former = room.record_turn("before", AIMessage("ok"), user=user)[-1].actor_id
    forgetting, go = threading.Event(), threading.Event()

    def forgetter(user: Any) -> None:
        forgetting.set()
        go.wait(30)

    monkeypatch.setattr("turnlog.events.hooks.forgetters", [forgetter])
    said: list[Any] = []

    def forget() -> None:
        forget_user(django_user_model.objects.get(pk=user.pk))
        connection.close()

    def speak() -> None:
        said.extend(room.record_turn("meanwhile", AIMessage("ok"), user=user))
        connection.close()

    threads = [threading.Thread(target=forget), threading.Thread(target=speak)]
    threads[0].start()
    assert forgetting.wait(30)
    threads[1].start()
    while threads[1].is_alive() and not somebody_waits():
        threads[1].join(0.01)
    assert not said
    go.set()
    for thread in threads:
        thread.join()
    assert {event.actor_id for event in said} == {Actor.objects.get(user=user).pk} != {former}
