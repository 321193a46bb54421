"""What reviewers write about a turn never outlives its words, whoever is at work at that moment."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from langchain_core.messages import AIMessage

from tests.events.samples.older import stored_type
from tests.everywhere import places_of
from tests.projections.queues import filled, next_of, rooms, stream_of
from tests.waiting import somebody_waits
from turnlog.core.errors import RemarkRefused
from turnlog.events import accesses, beside, reviews
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.projections.models import Access, Remark
from turnlog.projections.queues import acts

pytestmark = pytest.mark.django_db

WORD = "pomegranate"


@pytest.fixture
def rita() -> Any:
    return User.objects.create_user("rita")


def said(room: Any, text: str) -> uuid.UUID:
    [*_, last] = room.record_turn(text, AIMessage("ok"))
    assert last.turn_id is not None
    return last.turn_id


@pytest.fixture
def turn(conversation: Any) -> uuid.UUID:
    return said(conversation, f"a {WORD}")


@pytest.mark.parametrize("how", ["turn", "conversation"])
def test_nothing_is_written_about_an_erased_turn(
    how: str, conversation: Any, rita: Any, turn: uuid.UUID, settings: Any
) -> None:
    settings.TURNLOG = {"SCORES": {"tone": ["calm", "rude"]}}
    other = None if how == "conversation" else said(conversation, "a tea")
    conversation.erase(None if how == "conversation" else [turn], reason="request 1")
    about: Any = {"by": rita, "turn_id": turn}
    for act in (
        lambda: reviews.add_note(conversation.pk, "look", quote=WORD, **about),
        lambda: reviews.add_note(conversation.pk, "look", **about),
        lambda: reviews.give_score(conversation.pk, "tone", "calm", comment=WORD, **about),
    ):
        with pytest.raises(RemarkRefused, match="not erased"):
            act()
    assert places_of(WORD) == []
    assert not Conversation.streams.exclude(beside=None).exists()
    if other is not None:
        reviews.add_note(conversation.pk, "look", by=rita, turn_id=other, quote="tea")
    reviews.add_note(conversation.pk, "nothing is left", by=rita)


def at_once(act: Callable[[], Any], failed: list[Exception]) -> threading.Thread:
    """Start something in a thread; return once it is done or, on PostgreSQL, waits for us."""

    def run() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - looked at by the tests
            failed.append(error)
        finally:
            connections.close_all()

    acting = threading.Thread(target=run)
    acting.start()
    if connection.vendor == "sqlite":
        acting.join(0.3)  # Whoever writes is alone.
    else:
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)
    return acting


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("noted", [False, True], ids=["first note", "further note"])
@pytest.mark.parametrize("how", ["turn", "conversation"])
def test_a_note_that_is_being_written_is_erased_too(
    how: str, noted: bool, conversation: Any, rita: Any, turn: uuid.UUID
) -> None:
    if noted:
        reviews.add_note(conversation.pk, "polite", by=rita)
    failed: list[Exception] = []
    chosen = [turn] if how == "turn" else None
    with transaction.atomic():
        reviews.add_note(conversation.pk, "look", by=rita, turn_id=turn, quote=WORD)
        acting = at_once(lambda: conversation.erase(chosen, reason="request 1"), failed)
        assert acting.is_alive()
    acting.join()
    assert failed == []
    assert places_of(WORD) == []
    assert Remark.objects.count() == (noted and how == "turn")


@pytest.mark.django_db(transaction=True)
def test_a_note_waits_for_the_erasure_and_is_refused(
    conversation: Any, rita: Any, turn: uuid.UUID
) -> None:
    reviews.add_note(conversation.pk, "look", by=rita, turn_id=turn)
    failed: list[Exception] = []

    def note() -> None:
        reviews.add_note(conversation.pk, "look", by=rita, turn_id=turn, quote=WORD)

    with transaction.atomic():
        conversation.erase([turn], reason="request 1")
        acting = at_once(note, failed)
        assert acting.is_alive()
    acting.join()
    assert [type(error) for error in failed] == [RemarkRefused]
    assert places_of(WORD) == []


@pytest.mark.django_db(transaction=True)
def test_a_flag_that_is_being_put_is_erased_too(rita: Any, user: Any) -> None:
    [room] = rooms(1, user)
    number = filled(user)
    next_of(number, rita)
    failed: list[Exception] = []
    with transaction.atomic():
        acts.flag(number, room.pk, f"says {WORD}", by=rita)
        acting = at_once(lambda: room.erase(reason="request 1"), failed)
        assert acting.is_alive()
    acting.join()
    assert failed == []
    assert places_of(WORD) == []


def written_by_a_newer_version(stream: int, name: str, payload: dict[str, Any]) -> None:
    # Its projections knew the event; ours do not.
    with mock.patch("turnlog.events.hooks.inline_projections", []):
        append(stream, [NewEvent(stored_type(name, 9)(payload))])


def test_a_note_that_cannot_be_read_is_erased_with_any_turn(
    conversation: Any, rita: Any, turn: uuid.UUID
) -> None:
    other = said(conversation, "a tea")
    note = reviews.add_note(conversation.pk, "wants a tea", by=rita, turn_id=other)
    newer = {"words": WORD, "about": [str(turn)]}
    written_by_a_newer_version(note.stream_id, "NoteAdded", newer)
    receipt = conversation.erase([turn], reason="request 1")
    assert [event.version for event in receipt.forks[0].events] == [note.version + 1]
    assert places_of(WORD) == []
    assert [row.text for row in Remark.objects.all()] == ["wants a tea"]


def test_a_judgement_that_cannot_be_read_is_erased_with_its_conversation(user: Any) -> None:
    room = rooms(1, user)[0]
    stream = stream_of(filled(user))
    for number, words in ((room.pk, WORD), (room.pk * 10 + 1, "tea")):
        newer = {"conversation": number, "words": words}
        written_by_a_newer_version(stream, "ItemJudged", newer)
    room.erase(reason="request 1")
    assert places_of(WORD) == []
    assert Event.objects.filter(stream_id=stream, payload__contains='"tea"').exists()


@pytest.mark.parametrize("month", ["9999-12", "2020-01", ""])
def test_a_month_without_accesses_is_not_inspected(month: str, rita: Any) -> None:
    with pytest.raises(RemarkRefused, match="month with accesses"):
        accesses.inspect(month, by=rita, until=1)
    assert beside.found(beside.accesses_of(month)) is None


def test_a_month_is_inspected_up_to_a_version_that_there_is(conversation: Any, rita: Any) -> None:
    about: Any = {"by": rita, "page": "event", "conversations": [conversation.pk], "address": ""}
    seen = accesses.record("read", **about)
    month = accesses.this_month()
    for until in (-1, 0, seen.version + 1, 2**31 - 1, 2**80):
        with pytest.raises(RemarkRefused, match=str(until)):
            accesses.inspect(month, by=rita, until=until)
    accesses.inspect(month, by=rita, until=seen.version)
    assert Access.objects.filter(action="inspected").get().page == str(seen.version)


def test_a_note_is_withdrawn_where_there_is_one(conversation: Any, rita: Any) -> None:
    with pytest.raises(RemarkRefused):
        reviews.withdraw_note(conversation.pk, 1, by=rita)
    assert beside.found(beside.review_of(conversation.pk)) is None
