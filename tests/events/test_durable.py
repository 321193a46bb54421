"""A turn's start and end are committed when they return, whatever transaction is around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from langchain_core.messages import AIMessage

from turnlog.core import retrying
from turnlog.core.errors import TransactionInTheWay, TurnConflict, UnknownConversation
from turnlog.events.models import Conversation, Event

pytestmark = pytest.mark.django_db(transaction=True)


class _Away(Exception):
    pass


@contextmanager
def request() -> Iterator[None]:
    """What ATOMIC_REQUESTS is around a view that raises."""
    try:
        with transaction.atomic():
            list(Conversation.objects.all())  # On SQLite the transaction has its snapshot now.
            yield
            raise _Away
    except _Away:
        pass


@contextmanager
def without_autocommit() -> Iterator[None]:
    connection.set_autocommit(False)
    try:
        list(Conversation.objects.all())
        yield
        connection.rollback()
    finally:
        connection.set_autocommit(True)


AROUND = pytest.mark.parametrize("around", [request, without_autocommit])


def types(room: Any) -> list[str]:
    stream = Event.objects.filter(stream_id=room.pk).order_by("version")
    return list(stream.values_list("type", flat=True))


@AROUND
def test_the_words_are_kept_though_the_request_fails(around: Any, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    with around():
        room.start_turn("a latte, please", user=user)
    assert types(room) == ["ConversationOpened", "TurnStarted"]


@AROUND
def test_how_the_turn_ended_is_kept_too(around: Any, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    with around():
        failed = room.start_turn("a latte, please", user=user)
        room.fail_turn(failed.turn_id, error={"type": "Timeout", "text": "away"})
        again = room.start_turn("a latte, please", user=user)
        room.record_turn("a latte, please", AIMessage("Here"), user=user, turn_id=again.turn_id)
    assert types(room)[1:3] == ["TurnStarted", "TurnFailed"]
    assert types(room)[3:] == ["TurnStarted", "MessageAppended", "MessageAppended"]


@AROUND
def test_starting_it_again_finds_it(around: Any, conversation: Any) -> None:
    with around():
        turn = conversation.start_turn("hello")
        again = conversation.start_turn("hello", turn_id=turn.turn_id)
        with pytest.raises(TurnConflict):
            conversation.start_turn("other words", turn_id=turn.turn_id)
    assert (turn.created, again.created) == (True, False)


def test_a_turn_that_was_not_started_belongs_to_the_callers_transaction(conversation: Any) -> None:
    with request():
        conversation.record_turn("hello", AIMessage("hi"))
    assert types(conversation) == []


def test_what_the_callers_transaction_has_in_its_hands_is_refused(
    conversation: Any, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    monkeypatch.setattr(retrying, "ASIDE", retrying.Backoff(0.01, 0.01, 0.02))
    conversation.record_turn("hello", AIMessage("hi"))
    before = types(conversation)
    with request():
        conversation.record_turn("more", AIMessage("hi"))
        with pytest.raises(TransactionInTheWay, match="non_atomic_requests"):
            conversation.start_turn("hello")
    with request():
        room = Conversation.objects.create()
        with pytest.raises(TransactionInTheWay):
            room.start_turn("hello")
    with request():
        user = django_user_model.objects.create_user("grace")
        with pytest.raises(TransactionInTheWay):
            conversation.start_turn("hello", user=user)
    assert types(conversation) == before


@pytest.mark.parametrize("savepoints", [0, 2])
def test_a_transaction_that_has_read_can_write_afterwards(
    conversation: Any, user: Any, savepoints: int
) -> None:
    """On SQLite too, where a transaction that saw the database before it cannot write any more."""
    with ExitStack() as blocks:
        for _ in range(1 + savepoints):
            blocks.enter_context(transaction.atomic())
        list(Conversation.objects.all())
        turn = conversation.start_turn("hello", user=user)
        conversation.fail_turn(turn.turn_id)
        with transaction.atomic():
            type(user).objects.update(first_name="rolled back")
            transaction.set_rollback(True)
        conversation.title = "after it"
        conversation.save()
        type(user).objects.update(last_name="written")
    assert types(conversation)[1:] == ["TurnStarted", "TurnFailed", "TitleChanged"]
    user.refresh_from_db()
    assert (user.first_name, user.last_name) == ("", "written")


@pytest.mark.parametrize(
    "append",
    [
        lambda room: room.start_turn("hello"),
        lambda room: room.record_turn("hello", AIMessage("hi")),
        lambda room: room.clear(),
        lambda room: room.hold(reason="case 7"),
    ],
)
def test_a_conversation_that_was_rolled_back_takes_no_events(append: Any) -> None:
    """They would be in the way of the next conversation, which may get its number."""
    with request():
        room = Conversation.objects.create()
    with pytest.raises(UnknownConversation, match=f"there is no conversation {room.pk}"):
        append(room)
    assert not Event.objects.exists()
    Conversation.objects.create().start_turn("hello")


@pytest.mark.django_db
def test_a_test_cases_transaction_is_the_whole_database(conversation: Any) -> None:
    with transaction.atomic():
        turn = conversation.start_turn("hello")
        conversation.record_turn("hello", AIMessage("hi"), turn_id=turn.turn_id)
    assert len(types(conversation)) == 4
