"""Projections, pages and commands over a log with events of older schemas, and of unknown ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from langchain_core.messages import AIMessage

from tests.events.samples.older import (
    Commented,
    Judged1,
    Rated,
    Rated1,
    Rated2,
    Scored1,
    evolving,
    stored_type,
)
from turnlog.core.errors import ProjectionFailed
from turnlog.events import upcasters
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Event
from turnlog.events.store.append_only import triggers_suspended
from turnlog.events.store.sequence import sequence
from turnlog.events.types import EventData, TurnFailed
from turnlog.events.upcasters import upcaster
from turnlog.projections.engine import applying
from turnlog.projections.engine.making import wanted
from turnlog.projections.engine.projection import Projection
from turnlog.projections.engine.reading import events_between, events_of, last_position
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Checkpoint, SearchEntry, Usage
from turnlog.projections.transcript import read_transcript
from turnlog.projections.travel.replaying import Teller

pytestmark = pytest.mark.django_db


class Seen(Projection):
    """Keeps what it is given."""

    name = "seen"

    def __init__(self, *handles: str, takes_erased: bool = False) -> None:
        self.handles, self.takes_erased = handles, takes_erased  # type: ignore[misc]
        self.events: list[Event] = []

    def apply(self, events: Sequence[Event]) -> None:
        self.events += events

    def told(self) -> list[tuple[int, str, int]]:
        return [(event.version, event.type, event.schema) for event in self.events]


@pytest.fixture
def evolved() -> Iterator[None]:
    with evolving():
        yield


def put(conversation: Any, *facts: EventData, turn_id: Any = None) -> list[Event]:
    return append(conversation.pk, [NewEvent(fact, turn_id) for fact in facts])


@pytest.fixture
def older(conversation: Any) -> Any:
    """Versions 2 to 7, after the opening."""
    put(conversation, Rated1({"stars": 4}), Rated2({"points": 7}), Rated(9, "guest"))
    put(conversation, Scored1({"stars": 5}), Judged1({"stars": 3, "words": ""}))
    put(conversation, Judged1({"stars": 0, "words": "cold"}))
    return conversation


def read_by_both(conversation: Any, projection: Seen) -> list[list[Event]]:
    """What a rebuild and the worker would apply."""
    sequence()
    rebuilt = [e for page in events_of([conversation.pk], projection, None) for e in page]
    return [rebuilt, events_between(0, last_position(), projection)]


@pytest.mark.usefixtures("evolved")
def test_a_projection_is_given_events_of_today(older: Any) -> None:
    for events in read_by_both(older, Seen("Rated")):
        assert [event.data for event in events] == [
            Rated(8, "human"),
            Rated(7, "human"),
            Rated(9, "guest"),
            Rated(10, "human"),
            Rated(6, "human"),
        ]
        # Whoever reads the columns sees the same.
        assert {(event.type, event.schema) for event in events} == {("Rated", 3)}
        assert [json.loads(event.payload or "")["points"] for event in events] == [8, 7, 9, 10, 6]
    for events in read_by_both(older, Seen("Commented")):
        assert [event.data for event in events] == [Commented("cold")]
        assert [event.version for event in events] == [7]


@pytest.mark.usefixtures("evolved")
def test_events_that_the_worker_gives_keep_their_position(older: Any) -> None:
    sequence()
    events = events_between(0, last_position(), Seen("Rated", "Commented"))
    assert [event.position for event in events] == [2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("evolved")
def test_an_inline_projection_follows_with_events_of_today(older: Any) -> None:
    stored = list(read(older.pk))
    assert [event.version for event in wanted(Seen("Commented"), stored)] == [7]
    assert [event.schema for event in wanted(Seen("Rated"), stored)] == [3] * 5


@pytest.mark.usefixtures("evolved")
def test_an_erased_event_of_a_split_type_counts_as_the_first(older: Any) -> None:
    from django.db import connection

    with triggers_suspended(connection):
        Event.objects.filter(version__in=(5, 7)).update(payload=None, salt=None)
    for takes_erased, versions in ((True, [2, 3, 4, 5, 6, 7]), (False, [2, 3, 4, 6])):
        for events in read_by_both(older, Seen("Rated", takes_erased=takes_erased)):
            assert [event.version for event in events] == versions
    for events in read_by_both(older, Seen("Commented", takes_erased=True)):
        assert events == []


@pytest.fixture
def unknown(conversation: Any, user: Any) -> Any:
    """A turn, and then an event of a type that nobody knows, at version 4."""
    conversation.record_turn("a latte", AIMessage("here"), user=user)
    put(conversation, stored_type("Sung", 4)({"song": "arirang"}))
    return conversation


def failing(payload: Any) -> Any:
    raise LookupError("no such\nsong")


@pytest.fixture(params=["unknown type", "an upcaster that raises", "unknown schema"])
def unreadable(request: Any, unknown: Any) -> Iterator[str]:
    """What is said of that event."""
    with mock.patch.dict(upcasters._steps):
        if request.param == "an upcaster that raises":
            upcaster("Sung", 4, becomes="TurnFailed")(failing)
            yield "failing() raised LookupError: no such; fix the code"
        elif request.param == "unknown schema":
            put(unknown, stored_type("TurnFailed", 3)({}), turn_id=turn_of(unknown))
            upcaster("Sung", 4, becomes="TurnFailed")(lambda payload: ended())
            yield "found TurnFailed schema 3; a newer version wrote it"
        else:
            yield "found Sung schema 4; a newer version wrote it"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be applied is tried again without a pause."""
    monkeypatch.setattr("turnlog.core.retrying.EVENT_PAUSE", 0.0)


def turn_of(conversation: Any) -> Any:
    return Event.objects.filter(stream_id=conversation.pk, version=2).values_list("turn_id")[0][0]


def ended() -> Any:
    return TurnFailed("failed", {"message": None, "tools": []}).payload()


def refusal(name: str, *arguments: Any) -> str:
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(name, *map(str, arguments), stdout=out)
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("command", ["rebuild_projections", "check_projections"])
@pytest.mark.parametrize("alone", [False, True])
def test_what_cannot_be_read_is_not_passed_by(
    command: str, alone: bool, unknown: Any, unreadable: str
) -> None:
    sequence()
    # A process of the version that wrote it has been here.
    Checkpoint.objects.create(name="usage", version=1, inline=False, position=last_position())
    Usage.objects.all().update(turns=17)
    before = list(Usage.objects.values()), list(Event.objects.values())
    sentence = refusal(command, "usage", *(["--conversation", unknown.pk] if alone else []))
    assert unreadable in sentence
    assert f"of conversation {unknown.pk}" in sentence
    assert "fix the projection" not in sentence
    assert (list(Usage.objects.values()), list(Event.objects.values())) == before


@pytest.mark.usefixtures("at_once")
def test_a_rebuild_says_where_the_worker_has_stopped(unknown: Any) -> None:
    [usage] = named(["usage"])
    with mock.patch.dict("turnlog.events.types.EVENT_TYPES", {"Sung": Commented}):
        Worker([usage]).catch_up()
    put(unknown, stored_type("Danced", 1)({}))
    with mock.patch.dict("turnlog.events.types.EVENT_TYPES", {"Sung": Commented}):
        sentence = refusal("rebuild_projections", "usage")
    assert "is rebuilt up to position 4, and stopped at the next event" in sentence
    assert (
        "version 5: expected an event that this version of turnlog knows, found Danced" in sentence
    )
    assert Usage.objects.get().turns == 1


def test_the_worker_stops_before_it_and_goes_on_once_it_is_known(unknown: Any) -> None:
    [usage] = named(["usage"])
    sequence()
    events = events_between(0, last_position(), usage)
    assert events[-1].type == "Sung"
    failed = applying.apply(usage, events)
    assert isinstance(failed, ProjectionFailed)
    assert failed.version == events[-1].version
    Usage.objects.all().delete()
    with mock.patch.dict(upcasters._steps):
        upcaster("Sung", 4, becomes="Commented")(lambda payload: {"words": payload["song"]})
        with mock.patch.dict("turnlog.events.types.EVENT_TYPES", {"Commented": Commented}):
            Worker([usage]).catch_up()
    assert Usage.objects.get().turns == 1


def test_a_replay_tells_it_as_it_stands_and_ends_with_exit_code_2(unknown: Any) -> None:
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("replay_conversation", unknown.pk, stdout=out)
    assert caught.value.returncode == 2
    assert str(caught.value).startswith(f"conversation {unknown.pk}, version 4: expected an event")
    assert '{"song":"arirang"}' in out.getvalue()
    assert out.getvalue().endswith("at version 4 of its log\n")
    out = StringIO()
    call_command("replay_conversation", unknown.pk, "--json", stdout=out)
    assert json.loads(out.getvalue())["events"][-1]["payload"] == {"song": "arirang"}


def test_verifying_needs_to_know_no_types(unknown: Any) -> None:
    call_command("verify_log", stdout=StringIO())


def test_a_transcript_shows_the_rest(conversation: Any, user: Any, caplog: Any) -> None:
    turn = conversation.start_turn("a latte", user=user)
    sung = stored_type("Sung", 1)({})
    append(conversation.pk, [NewEvent(sung, turn.turn_id, turn.event.actor_id)])
    conversation.record_turn("a latte", AIMessage("here"), user=user, turn_id=turn.turn_id)
    [shown] = read_transcript(conversation.pk, user, limit=10).turns
    assert shown.standing == "completed"
    assert shown.answer["_value"]["content"] == "here"
    assert f"event {conversation.pk}/3 Sung is left out of a transcript" in caplog.text


@pytest.fixture
def renamed() -> Iterator[type[EventData]]:
    """What TurnFailed might have been called once."""

    def outcome_in_small_letters(payload: Any) -> Any:
        return {**payload, "outcome": payload["outcome"].lower()}

    with mock.patch.dict(upcasters._steps):
        upcaster("TurnBroken", 1, becomes="TurnFailed")(outcome_in_small_letters)
        yield stored_type("TurnBroken", 1)


def test_turnlogs_own_read_models_follow_a_renamed_type(
    conversation: Any, user: Any, renamed: type[EventData]
) -> None:
    message = {"_type": "AIMessage", "_value": {"content": "one mo", "type": "ai"}}
    broken = renamed(  # type: ignore[call-arg]
        {"outcome": "FAILED", "produced": {"message": message, "tools": []}, "error": None}
    )
    turn = conversation.start_turn("a latte", user=user)
    put(conversation, broken, turn_id=turn.turn_id)
    Worker(named(["usage", "search"])).catch_up()
    [sums] = Usage.objects.filter(failures=1)
    assert (sums.failed, sums.turns) == (1, 0)
    conversation.record_turn("a latte", AIMessage("one mo"), user=user, turn_id=turn.turn_id)
    Worker(named(["usage", "search"])).catch_up()
    for command in ("check_projections", "rebuild_projections", "check_projections"):
        call_command(command, stdout=StringIO())
    teller = Teller()
    told = [line.text for event in read(conversation.pk, until=3) for line in teller.lines(event)]
    assert told[1:] == ["a latte", "one mo", "failed"]
    assert not teller.unreadable
    # The answer that was broken off and the one that was finished are the same words: told once.
    assert [entry.version for entry in SearchEntry.objects.order_by("version")] == [2, 3]
