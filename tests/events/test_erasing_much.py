"""A large erasure is many short transactions; each is whole, and the receipt tells of all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, catch_up, events, require_sound
from tests.everywhere import places_of
from turnlog.core.errors import (
    ErasureIncomplete,
    LegalHold,
    ReceiptNotKept,
    TurnInProgress,
    UnknownTurn,
)
from turnlog.events import reviews
from turnlog.events.erasure import erase as erasing
from turnlog.events.erasure.receipts import Receipt
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.projections.engine import erasers
from turnlog.projections.models import Remark

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE, TURNS = 6, 12
LAST = 2 * TURNS + 1
"""The version of the last turn before the clearing."""


@pytest.fixture
def room(user: Any, monkeypatch: pytest.MonkeyPatch) -> Conversation:
    monkeypatch.setattr(erasing, "AT_ONCE", AT_ONCE)
    room = Conversation.objects.create(user=user, title=WORD)
    for number in range(TURNS):
        room.record_turn(f"{number} {WORD}", AIMessage(WORD), user=user)
    room.clear(reason=WORD)
    room.record_turn("after", AIMessage(WORD), user=user)
    return room


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], list[int]]:
    """Calls a function before each transaction, with its number from 0; gives the number of events
    that each has erased, in all conversations together."""

    def arrange(before: Callable[[int], None]) -> list[int]:
        found: list[int] = []
        original = erasing._erase_part

        def erase_part(*args: Any) -> Any:
            before(len(found))
            receipt = original(*args)
            found.append(sum(len(each.events) for each in receipt.whole()))
            return receipt

        monkeypatch.setattr(erasing, "_erase_part", erase_part)
        return found

    return arrange


def nothing(number: int) -> None:
    pass


@pytest.mark.parametrize("forks", [0, 2])
def test_no_transaction_erases_more_than_others_can_wait_for(
    room: Conversation, between: Any, forks: int
) -> None:
    copies = [room.fork(LAST) for _ in range(forks)]
    catch_up()
    parts = between(nothing)
    receipt = room.erase(reason="request 7")
    assert sum(parts) == sum(len(each.events) for each in receipt.whole())
    assert len(parts) > TURNS // AT_ONCE
    # A turn is erased whole, and with its copies.
    assert max(parts) <= max(AT_ONCE, 2 * (1 + forks))
    assert places_of(WORD) == []
    require_sound(room, *copies)


def test_the_receipt_tells_of_all_parts(room: Conversation, user: Any) -> None:
    fork = room.fork(LAST)
    receipt = room.erase(by=user, reason="request 7")
    for each, conversation in ((receipt, room), (receipt.forks[0], fork)):
        stored = events(conversation).order_by("version")
        gone = stored.filter(payload=None)
        assert [event.version for event in each.events] == [event.version for event in gone]
        assert set(each.turns) == {event.turn_id for event in gone} - {None}
        records = stored.filter(type="PayloadErased")
        assert [record.version for record in each.records] == [one.version for one in records]
    assert receipt.title
    assert receipt.by == events(room).order_by("-version")[0].actor_id
    assert Receipt.from_dict(receipt.as_dict()) == receipt
    assert not room.erase(reason="request 8")


def test_some_turns_and_what_may_quote_them(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 4)
    room = Conversation.objects.create(user=user)
    turns = [room.record_turn(WORD, AIMessage("ok"), user=user)[-1].turn_id for _ in range(5)]
    kept = room.record_turn("kept", AIMessage("ok"), user=user)[-1].turn_id
    own = {"messages": [{"_type": "SystemMessage", "_value": {"content": WORD}}]}
    quoting = room.start_turn("so?", user=user, prompt=Prompt(previous=own)).turn_id
    room.record_turn("so?", AIMessage("ok"), user=user, turn_id=quoting)
    receipt = room.erase(filter(None, turns), reason="request 7")
    assert set(receipt.turns) == {*turns, quoting}
    assert receipt.quoting == (quoting,)
    assert not events(room).filter(turn_id=kept, payload=None).exists()
    assert places_of(WORD) == []


@pytest.mark.parametrize("why", ["held", "open", "unknown"])
def test_what_may_not_be_erased_is_refused_before_anything_is(
    room: Conversation, why: str, user: Any
) -> None:
    turns: list[Any] | None = None
    if why == "held":
        room.fork(LAST).hold(reason="case 12")
    elif why == "open":
        room.start_turn("more?", user=user)
    else:
        turns = [*events(room).exclude(turn_id=None).values_list("turn_id", flat=True)]
        turns.append(uuid.uuid4())
    with pytest.raises((LegalHold, TurnInProgress, UnknownTurn)):
        room.erase(turns, reason="request 7")
    assert not Event.objects.filter(payload=None).exists()


def test_a_hold_that_comes_between_stops_it_and_what_is_erased_is_told(
    room: Conversation, between: Any
) -> None:
    parts = between(lambda number: room.hold(reason="case 12") and None if number == 2 else None)
    with pytest.raises(ErasureIncomplete, match="events are erased, and the rest is not") as caught:
        room.erase(reason="request 7")
    gone = set(events(room).filter(payload=None).values_list("version", flat=True))
    assert {event.version for event in caught.value.receipt.events} == gone != set()
    assert isinstance(caught.value.errors[0], LegalHold)
    require_sound(room)
    room.lift_hold(reason="settled")
    parts.append(0)
    # It continues where it was.
    rest = room.erase(reason="request 7")
    assert not gone & {event.version for event in rest.events}
    assert places_of(WORD) == []


def test_a_process_that_dies_in_between_leaves_whole_turns(
    room: Conversation, between: Any
) -> None:
    def die(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    parts = between(die)
    with pytest.raises(KeyboardInterrupt):
        room.erase(reason="request 7")
    for turn_id in set(events(room).exclude(turn_id=None).values_list("turn_id", flat=True)):
        payloads = events(room).filter(turn_id=turn_id).values_list("payload", flat=True)
        assert len({payload is None for payload in payloads}) == 1
    require_sound(room)
    parts.append(0)  # It lives.
    room.erase(reason="request 7")
    assert places_of(WORD) == []


def test_what_is_said_between_two_parts_is_erased_as_well(
    room: Conversation, between: Any, user: Any
) -> None:
    between(lambda number: room.record_turn(WORD, AIMessage("more"), user=user) and None)
    room.erase(reason="request 7")
    assert places_of(WORD) == []


def test_a_receipt_that_cannot_be_written_does_not_stop_it(
    room: Conversation, settings: Any, tmp_path: Any
) -> None:
    settings.TURNLOG = {"RECEIPTS_FILE": str(tmp_path / "nowhere" / "receipts.jsonl")}
    with pytest.raises(ReceiptNotKept) as caught:
        room.erase(reason="request 7")
    assert len(caught.value.receipt.events) == events(room).filter(payload=None).count()
    assert places_of(WORD) == []


def test_within_the_callers_transaction_it_is_one(room: Conversation, between: Any) -> None:
    parts = between(nothing)
    with transaction.atomic():
        room.erase(reason="request 7")
        transaction.set_rollback(True)
    assert len(parts) == 1
    assert not Event.objects.filter(payload=None).exists()


def test_sums_are_made_again_once_and_are_right(
    room: Conversation, between: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = room.fork(LAST)
    catch_up()
    made: list[Any] = []
    original = erasers.rebuild_rows

    def rebuild_rows(projection: Any, streams: Any, until: Any) -> None:
        made.append((projection.name, tuple(streams)))
        original(projection, streams, until)

    monkeypatch.setattr(erasers, "rebuild_rows", rebuild_rows)
    parts = between(nothing)
    some = events(room).filter(version__lt=LAST - 2).exclude(turn_id=None)
    room.erase(some.values_list("turn_id", flat=True), reason="request 7")
    assert len(parts) > 2
    assert ("usage", (room.pk, fork.pk)) in made
    assert len(made) == len(set(made))
    require_sound(room, fork)


@pytest.mark.parametrize("rest", [1, 5], ids=["something is left", "nothing is left"])
def test_sums_that_were_left_by_a_process_that_died_are_made_again(
    room: Conversation, between: Any, rest: int
) -> None:
    catch_up()

    def die(number: int) -> None:
        if number == rest:
            raise KeyboardInterrupt

    parts = between(die)
    with pytest.raises(KeyboardInterrupt):
        room.erase(reason="request 7")
    parts.append(0)
    room.erase(reason="request 7")
    require_sound(room)


def test_notes_on_what_is_erased_in_parts_go_with_it(room: Conversation, user: Any) -> None:
    turns = Event.objects.filter(stream_id=room.pk, type="MessageAppended", turn_id__isnull=False)
    for turn_id in {*turns.values_list("turn_id", flat=True)}:
        reviews.add_note(room.pk, WORD, by=user, turn_id=turn_id)
    room.erase(reason="request 1")
    assert not Remark.objects.exists()
    require_sound(room)
