"""Streams beside the conversations: what reviewers do is in the log, and in nobody's chat."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from langchain_core.messages import AIMessage

from turnlog.core.errors import (
    ArgumentError,
    LegalHold,
    ReasonRefused,
    RemarkRefused,
    UnknownConversation,
    UnknownTurn,
)
from turnlog.events import accesses, beside, reviews
from turnlog.events.erasure import retention
from turnlog.events.erasure.users import erase_user
from turnlog.events.log import read
from turnlog.events.models import Conversation, Event
from turnlog.projections.engine.registry import registered
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Access, Overview, Remark

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita() -> Any:
    return User.objects.create_user("rita")


@pytest.fixture
def turn(conversation: Any, user: Any) -> uuid.UUID:
    [*_, last] = conversation.record_turn("a latte, please", AIMessage("Coming up."), user=user)
    assert last.turn_id is not None
    return last.turn_id


def of_review(conversation: Any) -> list[Event]:
    stream = beside.found(beside.review_of(conversation.pk))
    return [] if stream is None else list(read(stream))


def test_it_is_no_conversation(conversation: Any, rita: Any, user: Any) -> None:
    reviews.add_note(conversation.pk, "about milk", by=rita)
    stream = Conversation.streams.get(beside=f"review/{conversation.pk}")
    assert list(Conversation.objects.all()) == [conversation]
    assert not stream.is_open_to(rita)
    assert not stream.is_open_to(user)
    assert list(admin.site.get_model_admin(Conversation).get_queryset(None)) == [conversation]
    for refused in (lambda: stream.fork(), lambda: stream.fork(user=rita)):
        with pytest.raises(UnknownConversation):
            refused()


def test_the_conversation_stays_as_it_is(conversation: Any, rita: Any, turn: uuid.UUID) -> None:
    before = list(read(conversation.pk))
    reviews.add_note(conversation.pk, "about milk", by=rita, turn_id=turn, quote="latte")
    reviews.sign_off(conversation.pk, by=rita, until=2)
    assert list(read(conversation.pk)) == before
    types = [event.type for event in of_review(conversation)]
    assert types == ["SideStreamOpened", "NoteAdded", "ReviewSignedOff"]


def test_lists_and_sums_do_not_know_it(conversation: Any, rita: Any, turn: uuid.UUID) -> None:
    reviews.add_note(conversation.pk, "about milk", by=rita, turn_id=turn)
    stream = Conversation.streams.get(beside=f"review/{conversation.pk}")
    stream.hold(reason="case 1")
    stream.lift_hold(reason="case 1")
    stream.erase(reason="request 1")
    Worker(registered()).catch_up()
    assert [row.pk for row in Overview.objects.all()] == [conversation.pk]
    call_command("check_projections", stdout=io.StringIO())
    call_command("rebuild_projections", stdout=io.StringIO())
    assert [row.pk for row in Overview.objects.all()] == [conversation.pk]
    call_command("verify_log", stdout=io.StringIO())


@pytest.mark.django_db(transaction=True)
def test_two_who_open_it_at_once_write_into_one(conversation: Any, rita: Any) -> None:
    def note(number: int) -> int:
        try:
            return reviews.add_note(conversation.pk, f"note {number}", by=rita).stream_id
        finally:
            connections.close_all()

    many = 4 if connection.vendor == "postgresql" else 2
    with ThreadPoolExecutor(many) as threads:
        streams = set(threads.map(note, range(many)))
    assert len(streams) == 1
    assert Remark.objects.count() == many


@pytest.mark.parametrize("action", accesses.ACTIONS)
def test_an_access_says_who_when_where_whose_and_what(
    action: str, conversation: Any, rita: Any, user: Any
) -> None:
    other = Conversation.objects.create()
    event = accesses.record(
        action,
        by=rita,
        page="conversation",
        conversations=[other.pk, conversation.pk, other.pk],
        address="192.0.2.7",
        query="우유",
        reason="request 17",
    )
    row = Access.objects.get()
    assert (row.at, row.actor_id, row.address) == (event.recorded_at, event.actor_id, "192.0.2.7")
    assert (row.action, row.page, row.query) == (action, "conversation", "우유")
    assert (row.conversation_id, row.reason) == (None, "request 17")
    assert row.conversations == f"\n{conversation.pk}\n{other.pk}\n"
    assert row.owners == f"\n{conversation.owner_actor_id}\n"
    assert Event.objects.get(stream_id=event.stream_id, version=1).type == "SideStreamOpened"
    call_command("check_projections", stdout=io.StringIO())


def test_what_is_taken_away_needs_a_reason(conversation: Any, rita: Any) -> None:
    about: Any = {"by": rita, "page": "bundle", "conversations": [conversation.pk], "address": ""}
    for action in accesses.WITH_REASON:
        with pytest.raises(ReasonRefused):
            accesses.record(action, **about)
    with pytest.raises(ArgumentError):
        accesses.record("looked", **about)
    assert not Access.objects.exists()
    assert beside.found(beside.accesses_of(accesses.this_month())) is None


def test_a_month_is_inspected(conversation: Any, rita: Any) -> None:
    about: Any = {"by": rita, "page": "event", "conversations": [conversation.pk], "address": ""}
    seen = accesses.record("read", **about)
    month = accesses.this_month()
    event = accesses.inspect(month, by=rita, until=seen.version, remark="nothing unusual")
    assert event.stream_id == seen.stream_id
    assert event.data is not None
    assert event.data.payload()["until"] == seen.version


def test_a_note_is_withdrawn_by_who_wrote_it(conversation: Any, rita: Any, user: Any) -> None:
    note = reviews.add_note(conversation.pk, "about milk", by=rita)
    other = Conversation.objects.create()
    for where, version, who in (
        (conversation, note.version, user),
        (conversation, note.version, None),
        (conversation, 1, rita),
        (conversation, 99, rita),
        (other, note.version, rita),
    ):
        with pytest.raises(RemarkRefused):
            reviews.withdraw_note(where.pk, version, by=who)
    assert Remark.objects.get().text == "about milk"
    reviews.withdraw_note(conversation.pk, note.version, by=rita)
    assert not Remark.objects.exists()
    assert [event.type for event in of_review(conversation)][1:] == ["NoteAdded", "NoteWithdrawn"]


SCORES = {"helpful": "yes/no", "tone": ["calm", "rude"], "quality": [1, 5]}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("helpful", [True, False, None], [1, "yes", 0.0]),
        ("tone", ["calm", "rude", None], ["Calm", 1, True, ["calm"]]),
        ("quality", [1, 5, 2.5, None], [0, 6, "3", True, float("nan"), float("inf")]),
        ("smell", [], [None, 1]),
    ],
)
def test_a_score_is_one_of_the_settings(
    name: str, good: list[Any], bad: list[Any], conversation: Any, rita: Any, settings: Any
) -> None:
    settings.TURNLOG = {"SCORES": SCORES}
    for value in bad:
        with pytest.raises(RemarkRefused):
            reviews.give_score(conversation.pk, name, value, by=rita)
    assert not Remark.objects.exists()
    for value in good:
        event = reviews.give_score(conversation.pk, name, value, by=rita)
        # The later one replaces the earlier one.
        assert Remark.objects.get().version == event.version
    call_command("check_projections", stdout=io.StringIO())


def test_scores_of_different_people_and_turns_stand_beside_each_other(
    conversation: Any, rita: Any, user: Any, turn: uuid.UUID, settings: Any
) -> None:
    settings.TURNLOG = {"SCORES": SCORES}
    for who in (rita, user):
        for where in (None, turn):
            for value in (1, 2):
                reviews.give_score(conversation.pk, "quality", value, by=who, turn_id=where)
    assert [row.value for row in Remark.objects.all()] == ["2"] * 4


def test_bad_remarks_are_one_sentence(conversation: Any, rita: Any) -> None:
    pk, nowhere = conversation.pk, uuid.uuid4()
    for refused, act in (
        (RemarkRefused, lambda: reviews.add_note(pk, " \n", by=rita)),
        (RemarkRefused, lambda: reviews.add_note(pk, "x" * 10_001, by=rita)),
        (UnknownTurn, lambda: reviews.add_note(pk, "x", by=rita, turn_id=nowhere)),
        (UnknownConversation, lambda: reviews.add_note(pk + 1, "x", by=rita)),
        (UnknownConversation, lambda: reviews.add_note(pk + 1, "x", by=rita, turn_id=nowhere)),
        (RemarkRefused, lambda: reviews.sign_off(pk, by=rita, until=99)),
        (RemarkRefused, lambda: reviews.sign_off(pk, by=rita, until=0)),
        (UnknownConversation, lambda: reviews.sign_off(pk + 1, by=rita, until=1)),
    ):
        with pytest.raises(refused):
            act()
    assert not Conversation.streams.exclude(beside=None).exists()


def test_a_note_on_no_conversation_is_refused(rita: Any, conversation: Any) -> None:
    """A side stream is none."""
    reviews.add_note(conversation.pk, "about milk", by=rita)
    stream = Conversation.streams.get(beside=f"review/{conversation.pk}")
    with pytest.raises(UnknownConversation):
        reviews.add_note(stream.pk, "about a note", by=rita)


@pytest.mark.parametrize("how", ["turn", "conversation", "user"])
def test_what_quotes_is_erased_with_what_it_quotes(
    how: str, conversation: Any, rita: Any, user: Any, turn: uuid.UUID
) -> None:
    [*_, other] = conversation.record_turn("and a tea", AIMessage("Here."), user=user)
    reviews.add_note(conversation.pk, "wants a latte", by=rita, turn_id=turn, quote="a latte")
    reviews.add_note(conversation.pk, "wants a tea", by=rita, turn_id=other.turn_id)
    reviews.add_note(conversation.pk, "polite", by=rita)
    if how == "turn":
        receipt = conversation.erase([turn], reason="request 1")
        left = ["wants a tea", "polite"]
    elif how == "conversation":
        receipt = conversation.erase(reason="request 1")
        left = []
    else:
        [receipt] = erase_user(user, reason="request 1")
        left = []
    assert [row.text for row in Remark.objects.all()] == left
    erased = [event.payload is None for event in of_review(conversation)]
    assert erased.count(True) == 3 - len(left)
    assert not erased[0]
    assert receipt.forks[0].conversation == of_review(conversation)[0].stream_id
    for words in ("latte", "tea", "polite"):
        kept = Event.objects.filter(payload__contains=words).exists()
        assert kept == any(words in text for text in left)
    call_command("check_projections", stdout=io.StringIO())
    call_command("verify_log", stdout=io.StringIO())


def test_a_dry_run_says_that_notes_go_too(conversation: Any, rita: Any, turn: uuid.UUID) -> None:
    reviews.add_note(conversation.pk, "wants a latte", by=rita, turn_id=turn)
    out = io.StringIO()
    arguments = ("--conversation", str(conversation.pk), "--reason", "request 1", "--dry-run")
    call_command("erase_payload", *arguments, stdout=out)
    stream = Conversation.streams.get(beside=f"review/{conversation.pk}").pk
    assert f"conversation {stream}: 1 event of 0 turns would be erased" in out.getvalue()
    assert Remark.objects.exists()


def test_a_hold_keeps_the_notes(conversation: Any, rita: Any, turn: uuid.UUID) -> None:
    reviews.add_note(conversation.pk, "wants a latte", by=rita, turn_id=turn)
    conversation.hold(reason="case 1")
    with pytest.raises(LegalHold):
        conversation.erase(reason="request 1")
    assert Remark.objects.exists()


def test_a_reviewer_who_is_forgotten_leaves_what_they_did(
    conversation: Any, rita: Any, turn: uuid.UUID
) -> None:
    """Their notes are their words. Whose conversations they saw is the others' to know."""
    reviews.add_note(conversation.pk, "wants a latte", by=rita, turn_id=turn)
    about: Any = {"page": "event", "conversations": [conversation.pk], "address": "192.0.2.7"}
    accesses.record("read", by=rita, **about)
    list(erase_user(rita, reason="request 1"))
    assert not Remark.objects.exists()
    row = Access.objects.get()
    assert row.actor_id is not None
    assert row.address == "192.0.2.7"


def test_accesses_have_a_retention_of_their_own(
    conversation: Any, rita: Any, turn: uuid.UUID, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    about: Any = {"by": rita, "page": "event", "address": "192.0.2.7"}
    accesses.record("read", conversations=[conversation.pk], **about)
    reviews.add_note(conversation.pk, "wants a latte", by=rita, turn_id=turn)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    for policy, rows, notes in (
        ({"turns": 3650, "accesses": 730}, 1, 1),
        ({"accesses": 365}, 0, 1),
        ({"conversations": 365}, 0, 0),
    ):
        settings.TURNLOG = {"RETENTION": policy}
        for due in list(retention.due(later)):
            retention.apply(due)
        assert (Access.objects.count(), Remark.objects.count()) == (rows, notes)
    call_command("check_projections", stdout=io.StringIO())
