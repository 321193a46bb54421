"""The log's contract, the same on every database."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.events.hashes import hash_of
from turnlog.core import retrying
from turnlog.core.errors import ConcurrencyError
from turnlog.events import hooks, log
from turnlog.events.attempt import Attempt
from turnlog.events.log import NewEvent, append, read, read_all
from turnlog.events.models import Conversation, Event, Pending, Position
from turnlog.events.standing import Memory, Standing
from turnlog.events.store.hashing import GENESIS
from turnlog.events.store.sequence import sequence
from turnlog.events.types import ConversationCleared, MessageAppended

pytestmark = pytest.mark.django_db


class Breaking:
    """An inline projection that fails."""

    insert = ""

    def follows(self, events: Any) -> bool:
        return True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def follow(self, events: Any) -> None:
        raise self.error


def said(text: str) -> NewEvent:
    return NewEvent(MessageAppended({"_type": "HumanMessage", "_value": {"content": text}}))


def test_an_empty_stream_is_opened_by_its_first_append(conversation: Any) -> None:
    events = append(conversation.pk, [said("a"), said("b")])
    assert [(e.version, e.type) for e in events] == [
        (1, "ConversationOpened"),
        (2, "MessageAppended"),
        (3, "MessageAppended"),
    ]
    opened = events[0].data
    assert opened is not None
    assert opened.owner == str(conversation.owner_actor_id)
    assert opened.title == "Ordering coffee"
    assert [e.version for e in append(conversation.pk, [said("c")])] == [4]


def test_what_is_read_is_what_was_appended(conversation: Any) -> None:
    appended = append(conversation.pk, [said("안녕\0\ud800")])
    stored = list(read(conversation.pk))
    for ours, theirs in zip(appended, stored, strict=True):
        for field in Event._meta.concrete_fields:
            if field.name != "id":
                left, right = getattr(ours, field.name), getattr(theirs, field.name)
                assert (bytes(left), bytes(right)) if isinstance(left, bytes) else left == right


def test_the_chain_begins_at_zeros_and_links_every_event(conversation: Any) -> None:
    append(conversation.pk, [said("a")])
    append(conversation.pk, [said("b"), said("c")])
    previous = GENESIS
    for event in read(conversation.pk):
        assert bytes(event.hash) == hash_of(event, previous)
        previous = bytes(event.hash)


def test_an_expected_version_that_is_not_there_is_refused(conversation: Any) -> None:
    append(conversation.pk, [said("a")], expected_version=0)
    with pytest.raises(ConcurrencyError) as caught:
        append(conversation.pk, [said("b")], expected_version=1)
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert [e.version for e in append(conversation.pk, [said("b")], expected_version=2)] == [3]


def append_from_another_connection(stream_id: int, text: str) -> None:
    def work() -> None:
        append(stream_id, [said(text)])
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


# On SQLite nobody else can write while we decide: there is no race to lose.
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_lost_race_is_run_again(conversation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # As from another process: threads of one take turns.
    monkeypatch.setattr(Memory, "alone", lambda *arguments: nullcontext())
    append(conversation.pk, [said("first")])
    seen = []

    def decide(standing: Standing, _: None) -> list[NewEvent]:
        seen.append(standing.version)
        if len(seen) == 1:
            append_from_another_connection(conversation.pk, "faster")
        return [said("slower")]

    [stored] = log.append_decided(conversation.pk, decide, lambda standing: None)
    assert seen == [2, 3]
    assert stored.version == 4
    assert [e.version for e in read(conversation.pk)] == [1, 2, 3, 4]


def test_a_race_that_is_always_lost_ends_in_a_concurrency_error(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def lose(self: Any, turn_id: Any, *, exclusive: bool) -> None:
        tries.append(exclusive)
        self.standing = Standing(len(tries))
        raise IntegrityError

    def overtaken(self: Any) -> bool:
        self.actual = len(tries) + 1
        return True

    monkeypatch.setattr(Attempt, "in_transaction", lose)
    monkeypatch.setattr(Attempt, "was_overtaken", overtaken)
    with pytest.raises(ConcurrencyError) as caught:
        append(conversation.pk, [said("a")])
    last = retrying.LOST_RACES
    assert tries == [False] + [True] * (last - 1)
    assert (caught.value.expected, caught.value.actual) == (last, last + 1)


def test_an_integrity_error_of_another_cause_is_not_taken_for_a_race(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking = Breaking(IntegrityError("of an inline projection"))
    monkeypatch.setattr(hooks, "inline_projections", [breaking])
    with pytest.raises(IntegrityError, match="inline projection"):
        append(conversation.pk, [said("a")])


def test_a_batch_and_its_inline_projections_are_all_or_nothing(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking = Breaking(RuntimeError("a projection broke"))
    monkeypatch.setattr(hooks, "inline_projections", [*hooks.inline_projections, breaking])
    with pytest.raises(RuntimeError):
        append(conversation.pk, [said("a")])
    assert not Event.objects.exists()
    assert not Pending.objects.exists()
    assert not conversation.messages.exists()


def test_time_never_goes_back_within_a_stream(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(conversation.pk, [said("a")])
    [_, before] = read(conversation.pk)
    earlier = timezone.now() - dt.timedelta(hours=1)
    monkeypatch.setattr("turnlog.events.attempt.timezone.now", lambda: earlier)
    [late] = append(conversation.pk, [said("b")])
    assert late.recorded_at == before.recorded_at
    assert late.meta["clock_behind"] == pytest.approx(3600, abs=60)


def test_read_takes_a_range(conversation: Any) -> None:
    append(conversation.pk, [said(str(n)) for n in range(5)])
    assert [e.version for e in read(conversation.pk, after=2, until=4)] == [3, 4]
    assert list(read(conversation.pk + 1000)) == []


def test_after_commit_is_told_once_the_batch_is_there(
    conversation: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(hooks, "after_commit", [told.append])
    with django_capture_on_commit_callbacks(execute=True):
        append(conversation.pk, [said("a")])
        assert told == []
    [events] = told
    assert [(e.stream_id, e.version) for e in events] == [
        (conversation.pk, 1),
        (conversation.pk, 2),
    ]


def test_an_append_inside_somebodys_transaction_goes_with_it(conversation: Any) -> None:
    try:
        with transaction.atomic():
            append(conversation.pk, [said("a")])
            raise RuntimeError
    except RuntimeError:
        pass
    assert list(read(conversation.pk)) == []


class Sequencing(TestCase):
    """Positions are 1, 2, 3, ..., in stream order, and what is read stays read."""

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans()), max_size=12))
    def test_positions(self, appends: list[tuple[int, int, bool]]) -> None:
        streams = [Conversation.objects.create().pk for _ in range(4)]
        read_so_far: list[tuple[int, int, int]] = []
        for stream, size, follow in appends:
            append(streams[stream], [said("x")] * size)
            if follow:
                after = read_so_far[-1][0] if read_so_far else 0
                read_so_far += [(e.position, e.stream_id, e.version) for e in read_all(after=after)]
        sequence()
        everything = [(e.position, e.stream_id, e.version) for e in read_all()]
        assert everything[: len(read_so_far)] == read_so_far
        assert [position for position, _, _ in everything] == list(range(1, len(everything) + 1))
        for stream in streams:
            versions = [version for _, of, version in everything if of == stream]
            assert versions == list(range(1, len(versions) + 1))
        assert Event.objects.count() == Position.objects.count() == len(everything)
        assert not Pending.objects.exists()


def test_read_all_stops_at_its_limit(conversation: Any) -> None:
    append(conversation.pk, [said("a"), said("b"), said("c")])
    assert [e.position for e in read_all(limit=2)] == [1, 2]
    assert [e.position for e in read_all(after=2, limit=10)] == [3, 4]
    assert sequence() == 0


def test_the_actor_and_the_turn_are_kept(conversation: Any) -> None:
    turn, actor = uuid.uuid4(), uuid.uuid4()
    append(conversation.pk, [NewEvent(ConversationCleared("why"), turn, actor, {"a": "é"})])
    event = list(read(conversation.pk))[-1]
    assert (event.turn_id, event.actor_id, event.meta) == (turn, actor, {"a": "é"})
    assert event.data == ConversationCleared("why")


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_migrations_and_models_agree(vendor: str) -> None:
    from django.core.management import call_command

    if connection.vendor == vendor:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
