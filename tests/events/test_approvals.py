"""A turn that waits until a person has decided about its tools' calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, connections
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import AIMessage

from turnlog.core.errors import ArgumentError, NotWaiting, TurnInProgress, UnknownTurn
from turnlog.events import turns
from turnlog.events.attempt import Attempt
from turnlog.events.log import read
from turnlog.events.models import Conversation, Draft
from turnlog.events.standing import memory
from turnlog.events.types import ToolApprovalDecided, TurnFailed
from turnlog.events.waiting import open_turn

pytestmark = pytest.mark.django_db

REFUND = {"number": 1, "tool": "refund", "tool_call_id": "call-2", "input": {"order": 17}}
CLOSE = {"number": 2, "tool": "close", "tool_call_id": "call-3", "input": {}}
LOOKED_UP = {"tool": "stock", "tool_call_id": "call-1", "input": {}, "output": "3 left"}


def waiting_turn(conversation: Any, *calls: Any, **options: Any) -> uuid.UUID:
    """Start a turn that waits; return its id."""
    turn_id: uuid.UUID = conversation.start_turn("Refund it.", **options).turn_id
    conversation.request_approval(
        turn_id,
        calls or [REFUND],
        ai_message="Looking.",
        tools_output_list=[LOOKED_UP],
        rounds=[AIMessage("Looking.", id="run-1")],
        metadata={"tools_at": [8, 8]},
    )
    return turn_id


def types(conversation: Any) -> list[str]:
    return [event.type for event in read(conversation.pk)]


def test_a_decision_is_bound_to_the_event_that_asked(conversation: Any, user: Any) -> None:
    turn_id = waiting_turn(conversation, REFUND, CLOSE, user=user)
    waiting = conversation.waiting()
    assert [call.number for call in waiting.undecided] == [1, 2]
    event = conversation.decide_call(turn_id, 1, False, by=user, reason="It was used.")
    assert event.data == ToolApprovalDecided(
        str(turn_id), bytes(waiting.request.hash).hex(), 1, False, "It was used."
    )
    assert event.turn_id is None
    assert event.actor_id == waiting.started.actor_id
    refused, undecided = conversation.waiting().calls
    assert (refused.approved, refused.reason, refused.by) == (
        False,
        "It was used.",
        event.actor_id,
    )
    assert undecided.approved is None


def test_a_turn_goes_on_once_all_calls_are_decided_and_only_once(conversation: Any) -> None:
    turn_id = waiting_turn(conversation, REFUND, CLOSE)
    conversation.decide_call(turn_id, 1, True)
    assert conversation.resume_turn(turn_id) is None
    conversation.decide_call(turn_id, 2, True)
    resumed = conversation.resume_turn(turn_id, model="gpt-4o", parameters={"temperature": 0})
    assert (resumed.event.data.model, resumed.event.data.parameters) == (
        "gpt-4o",
        {"temperature": 0},
    )
    assert [call.approved for call in resumed.waiting.calls] == [True, True]
    assert conversation.resume_turn(turn_id) is None
    with pytest.raises(TurnInProgress):
        conversation.start_turn("And now?")
    conversation.record_turn("Refund it.", "Done.", [LOOKED_UP], turn_id=turn_id)
    assert types(conversation)[-3:] == ["MessageAppended", "ToolOutputRecorded", "MessageAppended"]


def test_what_does_not_wait_is_not_decided(conversation: Any) -> None:
    turn_id = waiting_turn(conversation)
    head = types(conversation)

    def refused(turn_id: uuid.UUID, call: int) -> str:
        with pytest.raises(NotWaiting, match="nothing was recorded") as caught:
            conversation.decide_call(turn_id, call, True)
        return caught.value.why

    assert refused(uuid.uuid4(), 1) == "unknown"
    assert refused(turn_id, 0) == "no_call"
    assert types(conversation) == head
    conversation.decide_call(turn_id, 1, True)
    assert refused(turn_id, 1) == "decided"
    conversation.resume_turn(turn_id)
    assert refused(turn_id, 1) == "running"
    conversation.fail_turn(turn_id)
    assert refused(turn_id, 1) == "ended"
    conversation.erase([turn_id], reason="request 7")
    assert refused(turn_id, 1) == "erased"


def test_a_fork_waits_for_nothing(conversation: Any, user: Any) -> None:
    conversation.record_turn("hello", "hi", user=user)
    turn_id = waiting_turn(conversation, user=user)
    fork = conversation.fork()
    assert fork.waiting() is None
    with pytest.raises(NotWaiting) as caught:
        fork.decide_call(turn_id, 1, True)
    assert caught.value.why == "unknown"
    assert fork.start_turn("go on", user=user).created
    assert conversation.waiting() is not None


def test_new_words_and_a_stop_and_a_clearing_end_the_waiting(conversation: Any) -> None:
    first = waiting_turn(conversation)
    second = conversation.start_turn("Never mind.").turn_id
    assert types(conversation)[-2:] == ["TurnFailed", "TurnStarted"]
    conversation.record_turn("Never mind.", "Fine.", turn_id=second)
    third = waiting_turn(conversation)
    [stopped] = conversation.cancel_waiting(third)
    assert conversation.cancel_waiting(third) == []
    fourth = waiting_turn(conversation)
    conversation.clear()
    ended = [event for event in read(conversation.pk) if event.type == "TurnFailed"]
    assert [event.turn_id for event in ended] == [first, third, fourth]
    for event in ended:
        assert isinstance(event.data, TurnFailed)
        assert event.data.outcome == "cancelled"
        # What it had produced is in the event that ends it, as for every turn.
        assert event.data.produced["message"]["_value"]["content"] == "Looking."
        assert [tool["tool"] for tool in event.data.produced["tools"]] == ["stock"]
    assert stopped.turn_id == third


def test_a_turn_that_waits_is_nobodys_orphan(conversation: Any) -> None:
    waiting_turn(conversation)
    assert turns.close_abandoned(conversation.pk) == []
    assert conversation.waiting() is not None


def test_a_turn_lost_after_it_went_on_keeps_what_it_had_asked_with(conversation: Any) -> None:
    turn_id = waiting_turn(conversation)
    Draft.objects.create(stream_id=conversation.pk, turn_id=turn_id, number=1, part="{}")
    conversation.decide_call(turn_id, 1, True)
    event = conversation.resume_turn(turn_id).event
    # Its process is gone.
    connection.cursor().execute("DELETE FROM turnlog_runner")
    from turnlog.events import runners

    runners._runner_id.cache_clear()
    runners._beaten.clear()
    [closed] = turns.close_abandoned(conversation.pk)
    assert event.meta["runner"]
    assert closed.data.outcome == "interrupted"
    assert [tool["tool"] for tool in closed.data.produced["tools"]] == ["stock"]


def test_erasing_a_turn_erases_the_reasons_of_its_decisions(conversation: Any, user: Any) -> None:
    other = waiting_turn(conversation, user=user)
    conversation.decide_call(other, 1, False, reason="not this one")
    conversation.cancel_waiting(other)
    turn_id = waiting_turn(conversation, REFUND, CLOSE, user=user)
    conversation.decide_call(turn_id, 1, False, by=user, reason="Ada, 010-1234-5678")
    receipt = conversation.erase([turn_id], reason="request 7")
    assert "ToolApprovalDecided" in [event.type for event in receipt.events]
    assert conversation.waiting() is None
    payloads = [event.payload for event in read(conversation.pk)]
    assert not any(
        "5678" in payload or "Looking" in payload for payload in payloads[-3:] if payload
    )
    left = [event for event in read(conversation.pk) if event.type == "ToolApprovalDecided"]
    assert [event.payload is None for event in left] == [False, True]


def test_an_erasure_elsewhere_lets_a_turn_wait_on_unless_it_may_repeat_it(
    conversation: Any,
) -> None:
    said = conversation.record_turn("My number is 7.", "Noted.")
    from turnlog.events.prompt import Prompt

    until = said[-1].version
    given = Prompt(previous={"tools": False, "since": 0, "until": 0})
    waiting_turn(conversation, prompt=given)
    conversation.erase([said[0].turn_id], reason="request 7")
    assert conversation.waiting() is not None
    conversation.clear()
    told = conversation.record_turn("My number is 8.", "Noted.")
    given = Prompt(previous={"tools": False, "since": until, "until": told[-1].version})
    waiting_turn(conversation, prompt=given)
    conversation.erase([told[0].turn_id], reason="request 8")
    assert conversation.waiting() is None


def test_arguments_are_checked_before_anything_is_written(conversation: Any) -> None:
    turn_id = conversation.start_turn("a").turn_id
    with pytest.raises(ArgumentError, match="at least one call"):
        conversation.request_approval(turn_id, [])
    with pytest.raises(ArgumentError, match="a number"):
        conversation.request_approval(turn_id, [{"tool": "refund"}])
    with pytest.raises(UnknownTurn):
        conversation.request_approval(uuid.uuid4(), [REFUND])
    conversation.request_approval(turn_id, [REFUND])
    with pytest.raises(ArgumentError, match="at most"):
        conversation.decide_call(turn_id, 1, False, reason="x" * 2001)
    assert conversation.request_approval(turn_id, [CLOSE]) == []


class Waiting(RuleBasedStateMachine):
    """Whatever is done in whatever order, a turn stands as this model says."""

    room: Conversation

    @initialize()
    def open(self) -> None:
        self.room = Conversation.objects.create()
        self.turn: uuid.UUID | None = None
        self.state = "ended"
        self.calls: dict[int, bool | None] = {}

    @rule()
    def start(self) -> None:
        if self.state == "running":
            with pytest.raises(TurnInProgress):
                self.room.start_turn("words")
            return
        self.turn, self.state, self.calls = self.room.start_turn("words").turn_id, "running", {}

    @rule(count=st.integers(1, 3))
    def ask(self, count: int) -> None:
        if self.turn is None:
            return
        calls = [{"number": n, "tool": "t", "tool_call_id": None} for n in range(count)]
        asked = self.room.request_approval(self.turn, calls)
        assert bool(asked) == (self.state == "running")
        if asked:
            self.state, self.calls = "waiting", dict.fromkeys(range(count))

    @rule(call=st.integers(0, 3), approved=st.booleans())
    def decide(self, call: int, approved: bool) -> None:
        if self.turn is None:
            return
        if self.state == "waiting" and self.calls.get(call, True) is None:
            self.room.decide_call(self.turn, call, approved)
            self.calls[call] = approved
            return
        with pytest.raises(NotWaiting) as caught:
            self.room.decide_call(self.turn, call, approved)
        why = "decided" if call in self.calls else "no_call"
        assert caught.value.why == (why if self.state == "waiting" else self.state)

    @rule()
    def resume(self) -> None:
        if self.turn is None:
            return
        ready = self.state == "waiting" and None not in self.calls.values()
        assert bool(self.room.resume_turn(self.turn)) == ready
        if ready:
            self.state = "running"

    @rule(how=st.sampled_from(["fail", "record", "stop", "clear"]))
    def end(self, how: str) -> None:
        if self.turn is None:
            return
        if how == "fail":
            assert bool(self.room.fail_turn(self.turn)) == (self.state in ("running", "waiting"))
        elif how == "stop":
            assert bool(self.room.cancel_waiting(self.turn)) == (self.state == "waiting")
            self.state = "ended" if self.state == "waiting" else self.state
            return
        elif how == "clear":
            self.room.clear()
            self.state = "ended" if self.state == "waiting" else self.state
            return
        elif self.state != "ended":
            self.room.record_turn("words", "answer", turn_id=self.turn)
        self.state = "ended"

    @rule()
    def forget(self) -> None:
        """As a process that has not appended here before."""
        memory._entries.clear()

    @invariant()
    def it_stands_as_it_should(self) -> None:
        if self.turn is None:
            return
        opened = open_turn(self.room.pk)
        assert (opened is not None) == (self.state in ("running", "waiting"))
        waiting = self.room.waiting()
        if self.state == "waiting":
            assert opened is not None
            assert opened.waits
            assert waiting is not None
            assert {call.number: call.approved for call in waiting.calls} == self.calls
        else:
            assert waiting is None
        # What a process remembers of a stream is what the database says.
        entry = memory._entries.get(self.room.pk)
        if entry is not None and entry.standing.version:
            with connection.cursor() as cursor:
                attempt = Attempt(self.room.pk, "default", lambda standing: ())
                stored = attempt._read(cursor, None, join=False).opened
            known = entry.standing.opened
            assert (known and known[:3], known and known.waits) == (
                stored and stored[:3],
                stored and stored.waits,
            )


def test_the_state_of_a_turn_is_what_was_done_to_it() -> None:
    run_state_machine_as_test(
        Waiting, settings=settings(max_examples=20, stateful_step_count=20, deadline=None)
    )


_PROCESS = """
import os, sys, uuid
import django
django.setup()
from turnlog.events.models import Conversation
room = Conversation.objects.get(pk=int(sys.argv[1]))
turn = room.start_turn("Refund it.")
room.request_approval(turn.turn_id, [{"number": 0, "tool": "refund", "tool_call_id": "c"}])
print(turn.turn_id, flush=True)
sys.stdin.read()
"""


@pytest.mark.django_db(transaction=True)
def test_a_turn_waits_on_when_its_process_is_killed() -> None:
    room = Conversation.objects.create()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"]),
    }
    with subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(room.pk)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        turn_id = uuid.UUID(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
    assert turns.close_abandoned(room.pk) == []
    room.decide_call(turn_id, 0, True)
    resumed = room.resume_turn(turn_id)
    assert resumed is not None
    assert resumed.event.turn_id == turn_id


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_deciders_at_once_one_decides_and_one_process_goes_on() -> None:
    room = Conversation.objects.create()
    for _ in range(5):
        turn_id = waiting_turn(room)
        together = threading.Barrier(4)
        said: list[Any] = []

        def decide(approved: bool, turn_id: uuid.UUID = turn_id) -> None:
            together.wait(30)  # noqa: B023
            try:
                said.append(room.decide_call(turn_id, 1, approved).data.approved)  # noqa: B023
            except NotWaiting as error:
                said.append(error.why)  # noqa: B023
            said.append(room.resume_turn(turn_id))  # noqa: B023
            connections.close_all()

        threads = [threading.Thread(target=decide, args=[n % 2 == 0]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        resumed = [each for each in said if isinstance(each, tuple)]
        decided = [each for each in said if isinstance(each, bool)]
        assert len(decided) == len(resumed) == 1
        assert resumed[0].waiting.calls[0].approved == decided[0]
        refusals = {each for each in said if isinstance(each, str)}
        assert refusals <= {"decided", "running"}
        room.fail_turn(turn_id)
