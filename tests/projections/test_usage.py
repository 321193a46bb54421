"""Usage: each turn is counted once, whatever the worker's batches were and whatever was erased."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from turnlog.core.errors import TurnInProgress
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.types import MessageAppended
from turnlog.projections.engine.checking import differences, rows
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Usage
from turnlog.projections.usage.model import NOBODY

[USAGE] = named(["usage"])
# Its counts are made of the same parts.
[OVERVIEW] = named(["overview"])
NOTHING = {
    "turns": 0,
    "failures": 0,
    "failed": 0,
    "cancelled": 0,
    "interrupted": 0,
    "unrecorded": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "tool_calls": 0,
    "tool_errors": 0,
}


def catch_up() -> None:
    Worker([USAGE, OVERVIEW]).catch_up()


def answer(text: str = "ok", tokens: int = 0, model: str = "") -> AIMessage:
    usage: Any = {"input_tokens": tokens, "output_tokens": 2 * tokens, "total_tokens": 3 * tokens}
    told = {"model_name": model} if model else {}
    return AIMessage(text, usage_metadata=usage if tokens else None, response_metadata=told)


def tools(*statuses: str) -> list[Any]:
    return [{"tool": "clock", "output": "12", "status": status} for status in statuses]


def prompt(model: str) -> Prompt:
    return Prompt(model=model)


def totals(**known: Any) -> dict[str, Any]:
    """The sums that are not of time, all 0 but those that are given."""
    catch_up()
    found = Usage.objects.filter(**known).totals()
    return {name: found[name] for name in NOTHING}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The log's clock, set by hand."""

    class Clock:
        now = dt.datetime(2026, 11, 22, 23, 59, 50, tzinfo=dt.UTC)

    monkeypatch.setattr("turnlog.events.attempt.timezone.now", lambda: Clock.now)
    return Clock


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "record", "finish", "fail", "late", "clear", "erase", "work", "fork"]
        ),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    max_size=20,
)


class TheLaw(TestCase):
    """However the batches fall and whatever is erased, the rows are those of a rebuild."""

    def setUp(self) -> None:
        self.first = [Conversation.objects.create() for _ in range(2)]

    @given(ACTIONS, st.integers(1, 9))
    def test_incremental_is_rebuilt(self, actions: list[Any], batch: int) -> None:
        # A fork takes its parent's place, until the next example.
        self.rooms = list(self.first)
        self.open: list[list[uuid.UUID]] = [[], []]
        self.ended = {"turns": 0, "failures": 0}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("turnlog.projections.engine.worker.BATCH", batch)
            for action in actions:
                self.act(*action)
            catch_up()
        streams = list(Conversation.objects.values_list("pk", flat=True))
        assert differences(USAGE, streams) == differences(OVERVIEW, streams) == {}
        incremental = _sorted(streams)
        for size in (batch, 1000):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("turnlog.projections.engine.reading.PAGE", size)
                rebuild_chunk(USAGE, streams)
            assert _sorted(streams) == incremental
        # An erased turn is a turn, and a fork takes none.
        found = Usage.objects.totals()
        assert {name: found[name] for name in self.ended} == self.ended

    def act(self, action: str, number: int, size: int) -> None:
        room, turns = self.rooms[number], self.open[number]
        if action == "start":
            try:
                turns.append(room.start_turn("hello", prompt=prompt(f"m{size % 2}")).turn_id)
            except TurnInProgress:
                return
        elif action == "record":
            room.record_turn("hello", answer("ok", size, f"m{size % 2}"), tools("ok", "error"))
            self.ended["turns"] += 1
        elif action == "clear":
            room.clear()
        elif action == "fork":
            if Event.objects.filter(stream_id=room.pk).exists():
                self.rooms[number], self.open[number] = room.fork(), []
        elif action == "work":
            Worker([USAGE, OVERVIEW]).turn()
        elif action == "erase":
            self.erase(room, size)
        elif turns:
            self.end(action, room, turns.pop(), size)

    def end(self, action: str, room: Any, turn_id: uuid.UUID, size: int) -> None:
        if action in ("fail", "late"):
            kept = tools("ok", "error", "error")[:size]
            room.fail_turn(turn_id, "failed", ai_message=answer("h", 1), tools_output_list=kept)
            self.ended["failures"] += 1
        if action in ("finish", "late"):
            room.record_turn("hello", answer("ok", size), tools("ok", "error"), turn_id=turn_id)
            self.ended["turns"] += 1

    def erase(self, room: Any, back: int) -> None:
        events = Event.objects.filter(stream_id=room.pk, turn_id__isnull=False)
        ids = list(dict.fromkeys(events.order_by("-version").values_list("turn_id", flat=True)))
        with suppress(TurnInProgress):
            room.erase(ids[back : back + 1], reason="request 7")


def _sorted(streams: list[int]) -> list[Any]:
    found = rows(USAGE, streams)
    return [(stream, *sorted(map(str, found[stream]))) for stream in streams]


pytestmark = pytest.mark.django_db


def test_a_turn_is_counted_with_all_it_used(conversation: Any, user: Any, clock: Any) -> None:
    turn = conversation.start_turn("hello", user=user, prompt=prompt("asked"))
    catch_up()
    clock.now += dt.timedelta(seconds=12, microseconds=500_000)
    conversation.record_turn(
        "hello", answer("hi", 7, "said"), tools("ok", "error"), user=user, turn_id=turn.turn_id
    )
    catch_up()
    [usage] = Usage.objects.all()
    assert (usage.conversation, usage.actor_id, usage.user) == (
        conversation,
        turn.event.actor_id,
        user,
    )
    assert (usage.model, usage.day) == ("said", dt.date(2026, 11, 23))  # In UTC, by its end.
    assert Usage.objects.totals() == {
        **NOTHING,
        "turns": 1,
        "input_tokens": 7,
        "output_tokens": 14,
        "total_tokens": 21,
        "tool_calls": 2,
        "tool_errors": 1,
        "seconds": 12.5,
        "max_seconds": 12.5,
        "mean_seconds": 12.5,
    }
    assert usage.mean_seconds == 12.5


@pytest.mark.parametrize("at_once", [True, False])
def test_the_longest_is_kept(conversation: Any, clock: Any, at_once: bool) -> None:
    for seconds in (1, 3, 2):
        turn = conversation.start_turn("hello")
        clock.now += dt.timedelta(seconds=seconds)
        conversation.record_turn("hello", answer(), turn_id=turn.turn_id)
        if not at_once:
            catch_up()
        clock.now = clock.now.replace(hour=12, day=24)  # All on one day.
    catch_up()
    sums = Usage.objects.filter(day="2026-11-24").totals()
    assert (sums["seconds"], sums["max_seconds"], sums["mean_seconds"]) == (5.0, 3.0, 2.5)


def test_nothing_is_no_usage() -> None:
    assert Usage.objects.totals() == {
        **NOTHING,
        "seconds": 0.0,
        "max_seconds": None,
        "mean_seconds": None,
    }
    assert list(Usage.objects.by_user()) == []


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "interrupted", "unrecorded"])
def test_failures_are_counted_by_outcome(conversation: Any, outcome: Any) -> None:
    turn = conversation.start_turn("hello", prompt=prompt("asked"))
    conversation.fail_turn(
        turn.turn_id, outcome, ai_message=answer("h", 1), tools_output_list=tools("error")
    )
    assert totals(model="asked") == {
        **NOTHING,
        "failures": 1,
        outcome: 1,
        "input_tokens": 1,
        "output_tokens": 2,
        "total_tokens": 3,
        "tool_calls": 1,
        "tool_errors": 1,
    }
    assert Usage.objects.totals()["mean_seconds"] is None


def test_a_turn_that_is_finished_after_all_counts_as_both(conversation: Any) -> None:
    turn = conversation.start_turn("hello")
    conversation.fail_turn(
        turn.turn_id, "interrupted", ai_message=answer("h", 2), tools_output_list=tools("ok")
    )
    catch_up()
    conversation.record_turn("hello", answer("hi", 5), tools("ok", "ok"), turn_id=turn.turn_id)
    expected = {"turns": 1, "failures": 1, "interrupted": 1, "tool_calls": 2}
    tokens = {"input_tokens": 5, "output_tokens": 10, "total_tokens": 15}
    assert totals() == {**NOTHING, **expected, **tokens}


def test_copies_in_a_fork_are_not_counted(conversation: Any, user: Any) -> None:
    conversation.record_turn("hello", answer("hi", 5), tools("ok"), user=user)
    before = totals()
    forked = conversation.fork()
    assert totals() == before
    forked.record_turn("more", answer("hi", 5))
    assert totals()["turns"] == 2
    assert forked.usage.totals()["turns"] == 1


def test_what_is_not_a_turn_is_not_counted(conversation: Any) -> None:
    said = MessageAppended({"_type": "AIMessage", "_value": {"content": "alone"}})
    append(conversation.pk, [NewEvent(said), NewEvent(said, uuid.uuid4())])
    conversation.start_turn("still open")
    assert totals() == NOTHING


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"usage_metadata": None, "response_metadata": None},
        {"usage_metadata": {"input_tokens": "7", "total_tokens": -1}},
        {"usage_metadata": {"input_tokens": 1.5, "output_tokens": None}, "response_metadata": []},
        {"response_metadata": {"model_name": None}},
        {"response_metadata": {"model_name": ["x"]}},
    ],
)
def test_what_a_provider_got_wrong_counts_as_nothing(conversation: Any, value: Any) -> None:
    turn_id = uuid.uuid4()
    human, ai = ({"_type": kind, "_value": value} for kind in ("HumanMessage", "AIMessage"))
    append(conversation.pk, [NewEvent(MessageAppended(said), turn_id) for said in (human, ai)])
    assert totals(model="") == {**NOTHING, "turns": 1}


def test_absurd_figures_and_names_fit(conversation: Any) -> None:
    for _ in range(2):
        conversation.record_turn("hello", answer("hi", 10**30, "m\0\ud800" * 200))
    assert totals(model__startswith="m\ufffd\ufffdm")["total_tokens"] == 2**41


def test_erased_turns_stay_counted_without_what_they_used(conversation: Any, user: Any) -> None:
    kept = conversation.record_turn("a", answer("b", 1, "m"), tools("error"), user=user)
    erased = conversation.record_turn("c", answer("d", 5, "m"), tools("error"), user=user)
    turn = conversation.start_turn("e", user=user)
    conversation.fail_turn(turn.turn_id, "cancelled", ai_message=answer("f", 5))
    catch_up()
    conversation.erase([erased[0].turn_id, turn.turn_id], reason="request 7")
    tokens = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert totals() == {
        **NOTHING,
        **tokens,
        "turns": 2,
        "failures": 1,
        "tool_calls": 2,
        "tool_errors": 1,
    }
    assert totals(model="m") == {**NOTHING, **tokens, "turns": 1, "tool_calls": 1, "tool_errors": 1}
    assert differences(USAGE, [conversation.pk]) == {}
    assert kept[0].actor_id == Usage.objects.filter(model="").get().actor_id


def test_sums_by_user_model_and_day(
    conversation: Any, user: Any, django_user_model: Any, clock: Any
) -> None:
    bob = django_user_model.objects.create_user("bob")
    gone = django_user_model.objects.create_user("gone")
    for who, model, tokens in ((user, "a", 1), (bob, "a", 2), (bob, "b", 3), (None, "b", 4)):
        turn = conversation.start_turn("hello", user=who)
        clock.now += dt.timedelta(seconds=tokens)
        conversation.record_turn(
            "hello", answer("hi", tokens, model), user=who, turn_id=turn.turn_id
        )
    clock.now += dt.timedelta(days=1)
    conversation.record_turn("hello", answer("hi", 5, "a"), user=gone)
    catch_up()
    gone.delete()

    def found(sums: Any, by: str) -> dict[Any, Any]:
        return {row[by]: (row["turns"], row["input_tokens"], row["mean_seconds"]) for row in sums}

    assert found(Usage.objects.by_user(), "user") == {
        user.pk: (1, 1, 1.0),
        bob.pk: (2, 5, 2.5),
        None: (2, 9, 4.0),
    }
    assert found(Usage.objects.by_model(), "model") == {"a": (3, 8, 1.5), "b": (2, 7, 3.5)}
    assert list(found(Usage.objects.by_day(), "day").items()) == [
        (dt.date(2026, 11, 22), (3, 6, 2.0)),
        (dt.date(2026, 11, 23), (1, 4, 4.0)),
        (dt.date(2026, 11, 24), (1, 5, None)),
    ]
    assert found(Usage.objects.filter(user=bob).by_model(), "model") == {
        "a": (1, 2, 2.0),
        "b": (1, 3, 3.0),
    }
    assert [row["max_seconds"] for row in Usage.objects.by_day()] == [3.0, 4.0, None]
    guests = Usage.objects.filter(actor_id=NOBODY).totals()
    assert guests["turns"] == 1
    assert len(Usage.objects.by("user", "model")) == 5


def test_a_batch_is_one_upsert(conversation: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        turn = conversation.start_turn("hello", prompt=prompt(f"m{number % 3}"))
        conversation.record_turn("hello", answer(), turn_id=turn.turn_id)
    events = list(Event.objects.filter(stream_id=conversation.pk).order_by("version"))
    with django_assert_max_num_queries(1) as captured:
        USAGE.apply(events)
    assert "ON CONFLICT" in captured[0]["sql"]
    # In the middle of a turn: the log is asked for its beginning, once for all turns.
    half = conversation.start_turn("hello")
    stored = conversation.record_turn("hello", answer(), turn_id=half.turn_id)
    other = conversation.record_turn("hello", answer())
    with django_assert_max_num_queries(2):
        USAGE.apply([*stored, *other])
    assert Usage.objects.totals()["turns"] == 22


def test_the_admin_shows_it_and_changes_nothing(
    admin_client: Any, conversation: Any, user: Any
) -> None:
    conversation.record_turn("hello", answer("hi", 1234, "some-model"), user=user)
    catch_up()
    url = "/admin/turnlog_projections/usage/"
    for query in ("", f"?q={user}", f"?q={conversation.pk}", "?model=some-model"):
        assert "1234" in admin_client.get(url + query).content.decode()
    # A search by parts of other columns would read the whole table.
    page = admin_client.get(f"{url}?q=some").content.decode()
    assert "1234" not in page
    assert "No user has this name" in page
    pk = Usage.objects.get().pk
    assert "some-model" in admin_client.get(f"{url}{pk}/change/").content.decode()
    assert admin_client.post(f"{url}{pk}/delete/", {"post": "yes"}).status_code == 403
