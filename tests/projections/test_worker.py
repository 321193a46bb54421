"""The worker: every event once and in order, whatever fails in between."""

from __future__ import annotations

import datetime as dt
import json
import logging
import signal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from tests.project.tally.models import Tally
from turnlog.core import retrying
from turnlog.events.models import Conversation, Position
from turnlog.events.store.sequence import sequence
from turnlog.projections.engine import reading, worker
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.making import wanted
from turnlog.projections.engine.rebuild import rebuild
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker, advance
from turnlog.projections.models import Checkpoint, Parked

[TALLY] = named(["tally"])

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "EVENT_PAUSE", 0)


def say(conversation: Conversation, *texts: str) -> None:
    for text in texts:
        conversation.record_turn(text, AIMessage("ok"))


def sums() -> dict[int, tuple[int, int]]:
    rows = Tally.objects.values_list("conversation_id", "messages", "letters")
    return {pk: (messages, letters) for pk, messages, letters in rows}


def command(name: str, *arguments: str) -> tuple[int, Any]:
    out = StringIO()
    try:
        call_command(name, *arguments, "--json", stdout=out)
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


class Breaking:
    """Makes the tally refuse messages with a certain word."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, word: str, on_error: str) -> None:
        self.given: list[list[str]] = []
        apply = type(TALLY).apply

        def refuse(projection: Any, events: Any) -> None:
            texts = [event.data.message["_value"]["content"] for event in events]
            self.given.append(texts)
            # What was written before the refusal must be undone as well.
            apply(projection, events)
            if self.active and word in texts:
                raise ValueError(f"no {word}")

        self.active = True
        monkeypatch.setattr(type(TALLY), "apply", refuse)
        monkeypatch.setattr(type(TALLY), "on_error", on_error)


class ExactlyOnce(TestCase):
    """Whatever is appended, followed and rebuilt in whatever order, the sums are the log's."""

    @given(
        st.lists(
            st.tuples(st.sampled_from(["say", "follow", "rebuild", "all"]), st.integers(0, 2)),
            max_size=20,
        ),
        st.integers(1, 4),
    )
    def test_sums(self, actions: list[tuple[str, int]], batch: int) -> None:
        rooms = [Conversation.objects.create() for _ in range(3)]
        wanted = {room.pk: (0, 0) for room in rooms}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "BATCH", batch)
            for action, number in actions:
                room = rooms[number]
                if action == "say":
                    say(room, "x" * number)
                    messages, letters = wanted[room.pk]
                    wanted[room.pk] = (messages + 2, letters + number + 2)
                elif action == "follow":
                    Worker([TALLY]).turn()
                elif action == "rebuild":
                    rebuild_chunk(TALLY, [room.pk])
                else:
                    list(rebuild(TALLY))
                assert differences(TALLY, [room.pk for room in rooms]) == {}
            Worker([TALLY]).catch_up()
        assert sums() == {pk: both for pk, both in wanted.items() if both != (0, 0)}


def test_once_catches_up_and_says_so(conversation: Any) -> None:
    say(conversation, "a", "bb")
    code, facts = command("run_projections", "tally", "--once")
    assert (code, facts["ok"]) == (0, True)
    [tally] = facts["projections"]
    assert (tally["position"], tally["head"], tally["lag_events"]) == (5, 5, 0)
    assert sums() == {conversation.pk: (4, 7)}


def test_a_checkpoint_and_its_rows_move_together(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies between its rows and its checkpoint has written neither."""
    say(conversation, "a")
    sequence()

    class Killed(BaseException):
        pass

    def die(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(worker, "_move", die)
        with pytest.raises(Killed):
            advance(TALLY)
    assert sums() == {}
    Worker([TALLY]).catch_up()
    assert sums() == {conversation.pk: (2, 3)}


def test_an_event_that_cannot_be_applied_stops_its_projection_and_nothing_else(
    conversation: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    say(conversation, "a", "poison", "c")
    breaking = Breaking(monkeypatch, "poison", "stop")
    with caplog.at_level(logging.ERROR, "turnlog"):
        code, facts = command("run_projections", "--once")
    assert code == 1
    states = {each["name"]: each["state"] for each in facts["projections"]}
    assert states.pop("tally") == "stopped"
    assert set(states.values()) <= {"current"}
    # Up to the event, and not beyond: nothing is skipped in silence.
    assert sums() == {conversation.pk: (2, 3)}
    code, facts = command("projection_status", "tally")
    [tally] = facts["projections"]
    assert (code, tally["ok"], tally["position"]) == (1, False, 3)
    assert "position 4 cannot be applied: ValueError: no poison" in tally["advice"]
    # The log of the process tells where and what, and not what people said.
    assert len(caplog.records) == retrying.EVENT_TRIES
    assert "poison" not in caplog.text
    assert "'tally' could not apply position 4: ValueError (try 3)" in caplog.text

    breaking.active = False  # Mended, and the worker started anew.
    assert command("run_projections", "--once")[0] == 0
    assert sums() == {conversation.pk: (6, 14)}


def test_an_event_is_tried_again_before_it_stops_anything(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(conversation, "poison")
    breaking = Breaking(monkeypatch, "poison", "stop")
    following = Worker([TALLY])
    following.turn()
    found = Checkpoint.objects.get(name="tally")
    assert (found.failed_at, found.failures, found.position) == (2, 1, 1)
    breaking.active = False
    following.turn()
    assert sums() == {conversation.pk: (2, 8)}
    assert Checkpoint.objects.get(name="tally").failures == 0


def test_an_event_is_set_aside_by_choice_and_seen(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(conversation, "a", "poison", "c")
    breaking = Breaking(monkeypatch, "poison", "park")
    code, facts = command("run_projections", "tally", "--once")
    assert (code, facts["projections"][0]["state"]) == (1, "parked")
    assert sums() == {conversation.pk: (5, 8)}  # All but the one.
    [parked] = Parked.objects.all()
    assert (parked.projection, parked.stream_id, parked.version) == ("tally", conversation.pk, 4)
    _, facts = command("projection_status", "tally")
    assert facts["projections"][0]["parked_events"] == [
        {"conversation": conversation.pk, "version": 4, "error": "ValueError: no poison"}
    ]
    # A rebuild parks it again, or applies it once the projection is fixed.
    rebuild_chunk(TALLY, [conversation.pk])
    assert Parked.objects.count() == 1
    assert sums() == {conversation.pk: (5, 8)}
    breaking.active = False
    rebuild_chunk(TALLY, [conversation.pk])
    assert not Parked.objects.exists()
    assert sums() == {conversation.pk: (6, 14)}


def test_erased_events_are_not_given_to_a_projection_that_does_not_ask_for_them() -> None:
    from turnlog.events.models import Event

    events = [Event(type="MessageAppended", payload=text) for text in ("{}", None)]
    assert wanted(TALLY, events) == events[:1]
    assert wanted(TALLY, [Event(type="ConversationCleared", payload="{}")]) == []


def test_unknown_is_never_well(conversation: Any) -> None:
    code, facts = command("projection_status", "tally")
    assert (code, facts["projections"][0]["state"]) == (1, "unknown")


def test_a_worker_that_is_gone_is_not_well(conversation: Any) -> None:
    following = Worker([TALLY])
    following.turn()
    assert command("projection_status", "tally")[0] == 0
    Checkpoint.objects.filter(name="tally").update(heartbeat=Now() - dt.timedelta(seconds=11))
    code, facts = command("projection_status", "tally")
    assert (code, facts["projections"][0]["state"]) == (1, "no worker")
    assert facts["projections"][0]["heartbeat_age"] >= 11


def test_lag_counts_what_has_no_position_yet(conversation: Any) -> None:
    Worker([TALLY]).turn()
    say(conversation, "a")
    assert Position.objects.count() == 0
    code, facts = command("projection_status", "tally", "--max-lag=0")
    [tally] = facts["projections"]
    assert (code, tally["state"]) == (1, "behind")
    assert (tally["head"], tally["position"], tally["lag_events"]) == (3, 0, 3)
    assert tally["lag_seconds"] > 0


def test_of_two_workers_one_goes_on(conversation: Any) -> None:
    """Both at the same log: whichever comes first does it, and it is done once."""
    say(conversation, *"abc")
    first, second = Worker([TALLY]), Worker([TALLY])
    assert [first.turn(), second.turn(), first.turn()] == [True, False, False]
    assert sums() == {conversation.pk: (6, 9)}


def test_batches_are_read_by_position(conversation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    say(conversation, *"abcdef")
    breaking = Breaking(monkeypatch, "nothing", "stop")
    monkeypatch.setattr(worker, "BATCH", 5)
    Worker([TALLY]).catch_up()
    assert breaking.given == [
        ["a", "ok", "b", "ok"],
        ["c", "ok", "d", "ok", "e"],
        ["ok", "f", "ok"],
    ]
    assert reading.last_position() == 13


def test_nothing_to_do_takes_no_lock(conversation: Any, django_assert_num_queries: Any) -> None:
    say(conversation, "a")
    Worker([TALLY]).catch_up()
    with django_assert_num_queries(2):
        assert advance(TALLY) is False


def test_inline_projections_are_not_the_workers(conversation: Any) -> None:
    say(conversation, "a")
    assert Worker(named(["messages"])).projections == []
    _, facts = command("projection_status", "messages")
    [messages] = facts["projections"]
    assert messages["position"] is None


@pytest.mark.django_db(transaction=True)
def test_a_row_that_refers_to_nothing_is_named_by_its_event(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the commit, when nobody knows any more whose row it was."""
    say(conversation, "a")

    def refer_to_nothing(projection: Any, events: Any) -> None:
        Tally.objects.create(conversation_id=999_999)

    monkeypatch.setattr(type(TALLY), "apply", refer_to_nothing)
    code, facts = command("run_projections", "tally", "--once")
    assert (code, facts["projections"][0]["state"]) == (1, "stopped")
    assert "position 2 cannot be applied: IntegrityError" in facts["projections"][0]["advice"]


def test_an_error_of_the_database_that_an_event_causes_is_the_events(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the worker would wait for ever for a database that is not away."""
    say(conversation, "a")

    def ask_for_what_is_not_there(projection: Any, events: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    monkeypatch.setattr(type(TALLY), "apply", ask_for_what_is_not_there)
    code, facts = command("run_projections", "tally", "--once")
    assert (code, facts["projections"][0]["state"]) == (1, "stopped")
    assert "no_such_table" in facts["projections"][0]["advice"]


def test_a_checkpoint_beyond_the_log_is_not_well(conversation: Any) -> None:
    """As after a restore of the log alone; a rebuild puts it right."""
    say(conversation, "a")
    Worker([TALLY]).turn()
    Checkpoint.objects.filter(name="tally").update(position=100)
    code, facts = command("projection_status", "tally")
    assert (code, facts["projections"][0]["state"]) == (1, "ahead")
    list(rebuild(TALLY))
    assert Checkpoint.objects.get(name="tally").position == 3
    assert sums() == {conversation.pk: (2, 3)}


def test_catching_up_once_is_no_sign_of_a_worker(conversation: Any) -> None:
    assert command("run_projections", "tally", "--once")[0] == 0
    assert command("projection_status", "tally")[1]["projections"][0]["state"] == "no worker"


def test_signals_are_handled_as_before_afterwards(conversation: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    command("run_projections", "tally", "--once")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_log_that_has_grown_past_a_checkpoint_is_not_taken_for_the_same(
    conversation: Any,
) -> None:
    say(conversation, "a")
    Worker([TALLY]).turn()
    Checkpoint.objects.filter(name="tally").update(position=5)
    Worker([TALLY]).turn()
    say(conversation, "b", "c")
    Worker([TALLY]).turn()
    assert sums() == {conversation.pk: (2, 3)}
    assert command("projection_status", "tally")[1]["projections"][0]["state"] == "outdated"


def test_words_in_an_error_do_not_drive_the_terminal(
    conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(conversation, "\x1b]0;title\x07")
    Breaking(monkeypatch, "\x1b]0;title\x07", "stop")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("run_projections", "tally", "--once", stdout=out)
    assert "no \\x1b]0;title\\x07" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_a_lag_must_be_seconds(seconds: str) -> None:
    with pytest.raises(CommandError, match="--max-lag: expected a finite number of seconds"):
        command("projection_status", f"--max-lag={seconds}")


def test_there_must_be_something_to_run() -> None:
    with pytest.raises(CommandError, match="there is nothing to run: inline projections") as caught:
        command("run_projections", "messages", "--once")
    assert caught.value.returncode == 2
