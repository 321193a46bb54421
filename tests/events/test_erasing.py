"""Erasing: the words are nowhere any more, the proof is what it was."""

from __future__ import annotations

import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from langchain_core.messages import AIMessage

from tests.everywhere import places_of
from turnlog.core.errors import (
    ErasureFailed,
    LegalHold,
    ReasonRefused,
    TurnErased,
    TurnInProgress,
    UnknownConversation,
    UnknownTurn,
)
from turnlog.events.erasure import past as erasures
from turnlog.events.models import Content, Conversation, Event, Runner
from turnlog.events.prompt import Prompt
from turnlog.events.store.sequence import sequence
from turnlog.events.types import PayloadErased
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.projection import Projection
from turnlog.projections.engine.registry import named, registered
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Checkpoint, ConversationMessage, Parked, SearchEntry

pytestmark = pytest.mark.django_db

WORD = "pomegranate"


def catch_up() -> None:
    Worker(registered()).catch_up()


def events(room: Any) -> Any:
    return Event.objects.filter(stream_id=room.pk).order_by("version")


def said(room: Any, user: Any = None) -> uuid.UUID:
    """A turn of a chat that holds the word wherever a turn can."""
    prompt = Prompt(
        "model",
        {"stop": WORD},
        f"Answer {WORD} lovers.",
        [{"name": WORD}],
        {"tools": False, "since": 0, "until": 0},
    )
    turn = room.start_turn(f"a {WORD}", user=user, prompt=prompt)
    outputs = [{"tool": "look", "input": {"for": WORD}, "output": WORD}]
    room.record_turn(f"a {WORD}", AIMessage(WORD), outputs, user=user, turn_id=turn.turn_id)
    return turn.turn_id


def failed(room: Any, user: Any = None) -> uuid.UUID:
    turn = room.start_turn(f"a {WORD}", user=user)
    error = {"type": "ModelError", "kind": "x", "text": WORD}
    room.fail_turn(turn.turn_id, "failed", error=error, ai_message=AIMessage(f"half a {WORD}"))
    return turn.turn_id


def require_sound(*rooms: Any) -> None:
    """The log verifies, and every projection is what the log says."""
    from tests.everywhere import problems

    assert problems() == []
    for projection in registered():
        assert differences(projection, [room.pk for room in rooms]) == {}, projection.name


# What is erased


def test_a_turn_is_erased_from_everywhere(conversation: Any, user: Any) -> None:
    conversation.record_turn("a latte", AIMessage("here"), user=user)
    turns = [said(conversation, user), failed(conversation, user)]
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    catch_up()
    assert places_of(WORD) != []
    before = list(events(conversation).values_list("version", "digest", "hash"))
    receipt = conversation.erase(turns, by=user, reason="request 7")
    assert places_of(WORD) == []
    assert before == list(events(conversation).values_list("version", "digest", "hash"))[:-1]
    erased = events(conversation).filter(payload=None)
    assert [e.version for e in receipt.events] == [e.version for e in erased]
    assert {e.turn_id for e in erased} == set(turns) == set(receipt.turns)
    assert all(e.salt is None for e in erased)
    record = events(conversation).last()
    assert record.type == "PayloadErased"
    assert record.data.versions == [e.version for e in erased]
    assert record.data.reason == receipt.reason == "request 7"
    assert record.actor_id == receipt.by == conversation.owner_actor_id
    assert [(r.version, r.hash) for r in receipt.records] == [
        (record.version, bytes(record.hash).hex())
    ]
    assert receipt.at == record.recorded_at
    assert not receipt.title
    assert ConversationMessage.objects.count() == SearchEntry.objects.count() == 4
    require_sound(conversation)


def test_everything_is_erased(conversation: Any, user: Any) -> None:
    conversation.title = f"About the {WORD}"
    conversation.save()
    said(conversation, user)
    conversation.clear(by=user, reason=WORD)
    failed(conversation)
    catch_up()
    receipt = conversation.erase(reason="request 7")
    assert places_of(WORD) == []
    assert receipt.title
    assert conversation.title == Conversation.objects.get(pk=conversation.pk).title == ""
    kept = events(conversation).exclude(payload=None)
    assert [event.type for event in kept] == ["PayloadErased"]
    require_sound(conversation)
    # It goes on as any other, and is erased again.
    said(conversation, user)
    again = conversation.erase(reason="request 8")
    assert min(e.version for e in again.events) > receipt.records[-1].version
    assert places_of(WORD) == []


def test_what_is_erased_already_is_left_as_it_is(conversation: Any) -> None:
    turn_id = said(conversation)
    assert conversation.erase([turn_id], reason="request 7")
    before = events(conversation).count()
    again = conversation.erase([str(turn_id)], reason="request 8")
    assert not again
    assert (again.events, again.records, again.at) == ((), (), None)
    conversation.erase(reason="request 9")
    assert not conversation.erase(reason="request 10")
    assert events(conversation).count() == before + 1


def test_a_long_conversation_is_erased_in_many_records(conversation: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("turnlog.events.erasure.act._BATCH", 2)
    said(conversation)
    catch_up()
    receipt = conversation.erase(reason="request 7")
    assert len(receipt.records) == 3
    assert places_of(WORD) == []
    require_sound(conversation)


def test_an_empty_conversation_loses_its_title(user: Any) -> None:
    room = Conversation.objects.create(user=user, title=WORD)
    receipt = room.erase(reason="request 7", by=user)
    assert receipt.title
    assert places_of(WORD) == []
    # It is told like any other erasure.
    [record] = events(room).filter(type="PayloadErased")
    assert (record.data, record.actor_id) == (PayloadErased([], "request 7", True), receipt.by)
    assert list(erasures.receipts()) == [receipt]


def test_whoever_holds_an_older_object_does_not_save_the_title_back(conversation: Any) -> None:
    conversation.clear()
    conversation.erase(reason="request 7")
    conversation.save()
    assert Conversation.objects.get(pk=conversation.pk).title == ""


# Texts that turns share


def test_a_prompt_that_others_were_given_stays(conversation: Any, user: Any) -> None:
    other = Conversation.objects.create(user=user)
    mine, shared = said(conversation), said(other)
    conversation.erase([mine], reason="request 7")
    assert Content.objects.count() == 2
    assert {place for place, _ in places_of(WORD)} >= {"turnlog_content"}
    other.erase([shared], reason="request 8")
    assert Content.objects.count() == 0


def test_a_prompt_that_is_only_mentioned_goes(conversation: Any) -> None:
    turn_id = said(conversation)
    [first, second] = Content.objects.values_list("pk", flat=True)
    conversation.start_turn(f'"system_prompt":"{first}" \0', turn_id=(late := uuid.uuid4()))
    conversation.fail_turn(late, "failed")
    conversation.erase([turn_id], reason="request 7")
    assert Content.objects.count() == 0
    assert second


def test_the_prompt_of_a_turn_that_is_refused_is_not_kept(conversation: Any) -> None:
    conversation.start_turn("hi", turn_id=(turn_id := uuid.uuid4()))
    with pytest.raises(TurnInProgress):
        conversation.start_turn("hello", prompt=Prompt("model", {}, f"Answer {WORD} lovers."))
    assert not Content.objects.exists()
    conversation.fail_turn(turn_id, "failed")


def test_starting_an_erased_turn_again_does_not_bring_its_prompt_back(conversation: Any) -> None:
    turn_id = said(conversation)
    conversation.erase([turn_id], reason="request 7")
    prompt = Prompt("model", {}, f"Answer {WORD} lovers.")
    assert not conversation.start_turn(f"a {WORD}", turn_id=turn_id, prompt=prompt).created
    assert places_of(WORD) == []


# What is refused


@pytest.mark.parametrize("reason", ["", "  ", None, 7, "x" * 501, "a\0b", "a\ud800b", b"request"])
def test_a_reason_is_needed_that_can_be_kept(conversation: Any, reason: Any) -> None:
    conversation.clear()
    with pytest.raises(ReasonRefused):
        conversation.erase(reason=reason)
    assert events(conversation).count() == 2


def test_what_is_not_there_cannot_be_erased(conversation: Any) -> None:
    turn_id = said(conversation)
    for unknown in (uuid.uuid4(), "not a uuid", 7):
        with pytest.raises(UnknownTurn):
            conversation.erase([turn_id, unknown], reason="request 7")
    with pytest.raises(UnknownConversation):
        Conversation(pk=99).erase(reason="request 7")
    assert not events(conversation).filter(payload=None).exists()


def test_a_turn_that_is_being_answered_is_not_erased(conversation: Any) -> None:
    done = said(conversation)
    turn = conversation.start_turn("now", prompt=Prompt(previous={"messages": []}))
    for turns in ([turn.turn_id], None):
        with pytest.raises(TurnInProgress):
            conversation.erase(turns, reason="request 7")
    assert conversation.erase([done], reason="request 7").turns == (done,)


def test_a_turn_whose_process_is_gone_is_closed_and_erased(conversation: Any) -> None:
    turn = conversation.start_turn(WORD)
    Runner.objects.all().delete()
    from turnlog.events import runners

    runners._runner_id.cache_clear()
    conversation.erase([turn.turn_id], reason="request 7")
    assert [e.type for e in events(conversation).filter(payload=None)] == [
        "TurnStarted",
        "TurnFailed",
    ]
    assert places_of(WORD) == []


def test_an_erased_turn_is_not_recorded_again(conversation: Any) -> None:
    """Its runner was thought to be gone, and comes back."""
    turn_id = failed(conversation)
    conversation.erase([turn_id], reason="request 7")
    with pytest.raises(TurnErased):
        conversation.record_turn(WORD, AIMessage(WORD), turn_id=turn_id)
    assert conversation.fail_turn(turn_id, "failed", ai_message=AIMessage(WORD)) == []
    assert not conversation.start_turn(WORD, turn_id=turn_id).created
    recorded = said(conversation)
    conversation.erase([recorded], reason="request 8")
    stored = conversation.record_turn(WORD, AIMessage(WORD), turn_id=recorded)
    assert {event.payload for event in stored} == {None}
    assert places_of(WORD) == []


# Projections


class Stubborn(Exception):
    pass


@pytest.mark.parametrize("name", ["messages", "usage", "search", "tally", "lines"])
def test_a_projection_that_cannot_erase_keeps_all_from_being_erased(
    conversation: Any, monkeypatch: Any, name: str
) -> None:
    said(conversation)
    catch_up()
    before = places_of(WORD)
    [projection] = named([name])

    def erase(self: Any, erased: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM turnlog_message")
        raise Stubborn("it is too late")

    monkeypatch.setattr(type(projection), "erase", erase)
    with pytest.raises(ErasureFailed, match="nothing was erased") as caught:
        conversation.erase(reason="request 7")
    assert (caught.value.projection, caught.value.stream_id) == (name, conversation.pk)
    assert "Stubborn: it is too late" in str(caught.value)
    assert places_of(WORD) == before
    assert conversation.title == "Ordering coffee"
    require_sound(conversation)


def test_a_projection_that_does_not_say_how_is_an_error(
    conversation: Any, monkeypatch: Any
) -> None:
    said(conversation)
    [search] = named(["search"])
    monkeypatch.setattr(type(search), "erase", lambda self, events: Projection.erase(self, events))
    with pytest.raises(ErasureFailed, match="NotImplementedError"):
        conversation.erase(reason="request 7")


def test_errors_that_quote_what_is_erased_are_blanked(conversation: Any) -> None:
    turn_id = said(conversation)
    kept = said(conversation)
    sequence()
    first = events(conversation).filter(turn_id=turn_id).first()
    other = events(conversation).filter(turn_id=kept).first()
    for event in (first, other):
        Parked.objects.create(
            projection="search", stream_id=event.stream_id, version=event.version, error=WORD
        )
    from turnlog.events.models import Position

    place = Position.objects.get(stream_id=first.stream_id, version=first.version).position
    Checkpoint.objects.update_or_create(
        name="search",
        defaults={"version": 1, "inline": False, "failed_at": place, "error": WORD},
    )
    conversation.erase([turn_id], reason="request 7")
    assert Checkpoint.objects.get(name="search").error == ""
    parked = dict(Parked.objects.values_list("version", "error"))
    assert parked == {first.version: "", other.version: WORD}


def test_the_worker_finds_what_it_had_not_come_to_erased(conversation: Any) -> None:
    said(conversation)
    conversation.erase(reason="request 7")
    catch_up()
    assert places_of(WORD) == []
    require_sound(conversation)


# What quotes


def test_a_later_turn_that_was_given_words_of_its_own_goes_too(conversation: Any) -> None:
    note = {"_type": "SystemMessage", "_value": {"content": "Be kind."}}
    summary = {"_type": "SystemMessage", "_value": {"content": f"They like {WORD}s."}}

    def asked(*items: Any) -> uuid.UUID:
        prompt = Prompt("model", previous={"messages": list(items)})
        turn = conversation.start_turn("and?", prompt=prompt)
        conversation.record_turn("and?", AIMessage("so"), turn_id=turn.turn_id)
        return turn.turn_id

    asked(note)
    erased = said(conversation)
    version = events(conversation).filter(turn_id=erased, type="MessageAppended").first().version
    by_version, quoting = asked(note, version), asked(note, summary)
    receipt = conversation.erase([erased], reason="request 7")
    assert set(receipt.turns) == {erased, quoting}
    assert receipt.quoting == (quoting,)
    assert places_of(WORD) == []
    assert events(conversation).filter(turn_id=by_version, payload=None).count() == 0
    # What began after it was erased cannot quote it.
    asked(summary)
    assert not conversation.erase([erased], reason="request 8")


def test_a_note_before_every_prompt_is_no_quotation(conversation: Any) -> None:
    """Also where the very first turn is erased, or one whose predecessors are erased already."""
    note = {"_type": "SystemMessage", "_value": {"content": "Be kind."}}
    turns = []
    for number in range(4):
        prompt = Prompt("model", previous={"messages": [note]})
        turn = conversation.start_turn(f"question {number}", prompt=prompt)
        conversation.record_turn(f"question {number}", AIMessage("so"), turn_id=turn.turn_id)
        turns.append(turn.turn_id)
    for turn_id in turns[:2]:
        assert conversation.erase([turn_id], reason="request 7").turns == (turn_id,)


@pytest.mark.parametrize("given", ["range", "version", "words", None])
def test_a_model_that_was_given_the_words_is_waited_for(conversation: Any, given: Any) -> None:
    """Its answer may repeat them."""
    erased, later = said(conversation), conversation.record_turn("tea?", AIMessage("Yes."))
    version = events(conversation).filter(turn_id=erased, type="MessageAppended").last().version
    previous = {
        "range": {"tools": False, "since": version, "until": later[-1].version},
        "version": {"messages": [version]},
        "words": {"messages": [{"_type": "SystemMessage", "_value": {"content": WORD}}]},
        None: None,  # Nobody knows.
    }[given]
    turn = conversation.start_turn("now", prompt=Prompt(previous=previous))
    with pytest.raises(TurnInProgress):
        conversation.erase([erased], reason="request 7")
    conversation.fail_turn(turn.turn_id, "failed")
    assert conversation.erase([erased], reason="request 7")


# Legal holds


def test_a_hold_keeps_everything_until_it_is_lifted(conversation: Any, user: Any) -> None:
    turn_id = said(conversation)
    assert not conversation.is_held()
    conversation.hold(by=user, reason="case 12")
    assert conversation.is_held()
    before = events(conversation).count()
    for turns in ([turn_id], None):
        with pytest.raises(LegalHold, match=r"under a legal hold \(case 12\)") as caught:
            conversation.erase(turns, reason="request 7")
    assert (caught.value.stream_id, caught.value.reason) == (conversation.pk, "case 12")
    assert events(conversation).count() == before
    conversation.lift_hold(by=user, reason="settled")
    assert not conversation.is_held()
    conversation.erase(reason="request 7")
    held = events(conversation).filter(type__startswith="Hold")
    assert [(e.type, e.data.reason, e.actor_id) for e in held] == [
        ("HoldPlaced", "case 12", conversation.owner_actor_id),
        ("HoldLifted", "settled", conversation.owner_actor_id),
    ]
    require_sound(conversation)


# The proof


def test_checkpoints_and_bundles_from_before_verify_after(
    conversation: Any, user: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    from turnlog.events.proof import keys
    from turnlog.events.proof.checkpoints import checkpoint_log
    from turnlog.events.proof.notes import SigningKey
    from turnlog.events.verify import main

    key = SigningKey("example.com/chat", bytes(range(32)))
    monkeypatch.setenv(keys.ENVIRONMENT, key.secret())
    turn_id = said(conversation, user)
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    fork = conversation.fork()
    checkpoint_log()
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    call_command("export_log", output=str(before), stdout=StringIO())
    conversation.erase([turn_id], reason="request 7")
    assert fork.pk
    call_command("verify_log", stdout=StringIO())
    checkpoint_log()
    call_command("verify_log", stdout=StringIO())
    call_command("export_log", output=str(after), stdout=StringIO())
    for bundle in (before, after):
        assert main([str(bundle), "--key", str(key.public)]) == 0
    assert WORD in before.read_text()
    assert WORD not in after.read_text()


def test_a_turn_that_was_answered_again_goes_with_its_message(
    conversation: Conversation, user: Any
) -> None:
    """The message is stored with each answer to it; other words stay."""
    first, again, other = (uuid.uuid4() for _ in range(3))
    conversation.record_turn("secret", AIMessage("one"), user=user, turn_id=first)
    conversation.record_turn("other", AIMessage("2"), user=user, turn_id=other, instead_of=first)
    conversation.record_turn("secret", AIMessage("3"), user=user, turn_id=again, instead_of=other)
    receipt = conversation.erase([first], reason="asked")
    assert set(receipt.turns) == {first, again}
    assert receipt.quoting == (again,)
    left = Event.objects.filter(stream_id=conversation.pk, payload__isnull=False)
    assert "secret" not in "".join(left.values_list("payload", flat=True))
    assert left.filter(turn_id=other).count() == 2
