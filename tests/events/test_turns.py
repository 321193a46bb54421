"""A turn's life."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables.utils import AddableDict

from turnlog.core.errors import CodecError, TurnConflict, TurnInProgress, UnknownTurn
from turnlog.events import runners, turns, waiting
from turnlog.events.models import Content, Conversation, Event, Runner
from turnlog.events.prompt import Prompt

pytestmark = pytest.mark.django_db


def types(conversation: Conversation) -> list[str]:
    return list(Event.objects.filter(stream_id=conversation.pk).values_list("type", flat=True))


def test_a_turn_is_started_then_recorded_in_one_batch(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("hello", user=user)
    events = conversation.record_turn(
        HumanMessage("hello"),
        AIMessage("hi"),
        [AddableDict(tool="clock", tool_call_id="c1", input={}, output=12, duration=0.5)],
        user=user,
        turn_id=turn.turn_id,
    )
    assert types(conversation) == [
        "ConversationOpened",
        "TurnStarted",
        "MessageAppended",
        "ToolOutputRecorded",
        "MessageAppended",
    ]
    assert {e.turn_id for e in events} == {turn.turn_id}
    assert {e.actor_id for e in events} == {turn.event.actor_id}
    assert len({e.recorded_at for e in events}) == 1


def test_the_prompt_is_kept_once_by_content(conversation: Any, user: Any) -> None:
    prompt = Prompt("gpt-4o", {"temperature": 1}, "You are a tutor.", [{"name": "clock"}])
    for _ in range(2):
        turn = conversation.start_turn("hello", user=user, prompt=prompt)
        conversation.record_turn("hello", AIMessage("hi"), turn_id=turn.turn_id)
    data = turn.event.data
    assert (data.model, data.parameters) == ("gpt-4o", {"temperature": 1})
    assert Content.objects.get(pk=data.system_prompt).text == "You are a tutor."
    assert Content.objects.get(pk=data.tools).text == '[{"name": "clock"}]'
    assert Content.objects.count() == 2


def test_starting_again_is_harmless_and_with_other_words_a_conflict(conversation: Any) -> None:
    turn_id = uuid.uuid4()
    assert conversation.start_turn("hello", turn_id=turn_id).created
    assert not conversation.start_turn("hello", turn_id=turn_id).created
    with pytest.raises(TurnConflict):
        conversation.start_turn("other", turn_id=turn_id)
    conversation.record_turn("hello", AIMessage("hi"), turn_id=turn_id)
    assert not conversation.start_turn("hello", turn_id=turn_id).created
    assert types(conversation).count("TurnStarted") == 1


def test_recording_again_is_harmless_and_with_other_content_a_conflict(conversation: Any) -> None:
    turn_id = uuid.uuid4()
    message, answer = HumanMessage("hello"), AIMessage("hi", id="run-1")
    first = conversation.record_turn(message, answer, [], turn_id=turn_id)
    again = conversation.record_turn(message, answer, [], turn_id=turn_id)
    assert [e.version for e in again] == [e.version for e in first if e.turn_id]
    with pytest.raises(TurnConflict):
        conversation.record_turn(message, AIMessage("bye"), [], turn_id=turn_id)
    assert types(conversation).count("MessageAppended") == 2


def test_recording_an_erased_turn_again_is_harmless(conversation: Any) -> None:
    turn_id = uuid.uuid4()
    conversation.record_turn("hello", AIMessage("hi"), turn_id=turn_id)
    conversation.erase([turn_id], reason="request 7")
    assert len(conversation.record_turn("hello", AIMessage("hi"), turn_id=turn_id)) == 2


def test_one_turn_at_a_time(conversation: Any) -> None:
    first = conversation.start_turn("a")
    with pytest.raises(TurnInProgress) as caught:
        conversation.start_turn("b")
    assert caught.value.turn_id == first.turn_id
    conversation.fail_turn(first.turn_id, "cancelled")
    assert conversation.start_turn("b").created


def test_clearing_does_not_end_a_turn(conversation: Any) -> None:
    conversation.start_turn("a")
    conversation.clear()
    with pytest.raises(TurnInProgress):
        conversation.start_turn("b")


def test_failing_keeps_what_was_produced_and_happens_once(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("a", user=user)
    error = {"type": "RateLimitError", "text": "slow down"}
    [event] = conversation.fail_turn(
        turn.turn_id, error=error, ai_message=AIMessage("half"), tools_output_list=None
    )
    assert event.data.error == error
    assert event.data.produced["message"]["_value"]["content"] == "half"
    assert event.actor_id == turn.event.actor_id
    assert conversation.fail_turn(turn.turn_id) == []
    with pytest.raises(UnknownTurn):
        conversation.fail_turn(uuid.uuid4())


def test_an_answer_that_comes_after_the_turn_was_closed_is_not_lost(conversation: Any) -> None:
    turn = conversation.start_turn("a")
    conversation.fail_turn(turn.turn_id, "interrupted")
    assert len(conversation.record_turn("a", AIMessage("late"), turn_id=turn.turn_id)) == 2


def test_the_actor_of_a_turn_is_that_of_its_start(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("a", user=user)
    [human, answer] = conversation.record_turn("a", AIMessage("b"), turn_id=turn.turn_id)
    assert human.actor_id == answer.actor_id == turn.event.actor_id is not None


def test_what_cannot_be_stored_exactly_is_refused_and_nothing_is_written(conversation: Any) -> None:
    with pytest.raises(CodecError):
        conversation.record_turn("a", AIMessage("b"), [{"tool": "t", "output": object()}])
    with pytest.raises(CodecError, match=r"tools_output_list\[0\].*int"):
        conversation.record_turn("a", AIMessage("b"), [7])
    assert types(conversation) == []


def test_tool_outputs_of_every_kind(conversation: Any) -> None:
    message = ToolMessage("12", tool_call_id="c1", name="clock", status="error")
    chunk = AddableDict({"steps": [], "messages": []})
    events = conversation.record_turn("a", AIMessage("b"), [message, chunk])
    [clock, executor] = [e.data for e in events if e.type == "ToolOutputRecorded"]
    assert (clock.tool, clock.tool_call_id, clock.status) == ("clock", "c1", "error")
    assert executor.output["_type"] == "AddableDict"


def test_a_turn_whose_process_is_gone_is_closed_by_whoever_comes_next(conversation: Any) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    turn = conversation.start_turn("a")
    runner = _pretend_to_be(process.pid, turn)
    with pytest.raises(TurnInProgress):
        conversation.start_turn("b")
    process.kill()
    process.wait()
    process.stdin.close()  # type: ignore[union-attr]
    assert runners.is_gone(runner.pk)
    second = conversation.start_turn("b")
    assert types(conversation)[-2:] == ["TurnFailed", "TurnStarted"]
    failed = Event.objects.get(type="TurnFailed")
    assert failed.turn_id == turn.turn_id
    assert failed.data.outcome == "interrupted"
    assert waiting.open_turn(conversation.pk).turn_id == second.turn_id


def test_a_page_that_is_opened_closes_it_too_but_never_a_living_one(conversation: Any) -> None:
    assert turns.close_abandoned(conversation.pk) == []
    turn = conversation.start_turn("a")
    assert turns.close_abandoned(conversation.pk) == []
    _pretend_to_be(_dead_pid(), turn)
    [closed] = turns.close_abandoned(conversation.pk)
    assert (closed.turn_id, closed.data.outcome) == (turn.turn_id, "interrupted")
    assert turns.close_abandoned(conversation.pk) == []


def test_a_runner_elsewhere_is_judged_by_its_heartbeat(settings: Any) -> None:
    from django.db.models.functions import Now

    elsewhere = Runner.objects.create(
        host="elsewhere", boot="b", pid=1, started="1", heartbeat=Now()
    )
    assert not runners.is_gone(elsewhere.pk)
    settings.TURNLOG = {"RUNNER_TIMEOUT": 1e-9}
    assert runners.is_gone(elsewhere.pk)
    assert runners.is_gone(uuid.uuid4())


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_runner() -> None:
    mine = Runner.objects.get(pk=runners.beat())
    Runner.objects.filter(pk=mine.pk).update(started="another")
    other = Runner.objects.create(
        host=mine.host, boot=mine.boot, pid=mine.pid, started="0", heartbeat=mine.heartbeat
    )
    assert runners.is_gone(other.pk)


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _pretend_to_be(pid: int, turn: turns.Turn) -> Runner:
    """Let the turn's runner be another process of this machine.

    The event itself cannot be changed, so the runner it names is.
    """
    mine = uuid.UUID(turn.event.meta["runner"])
    Runner.objects.filter(pk=mine).update(pid=pid, started=runners._started(pid) or "gone")
    runners._runner_id.cache_clear()  # From now on we are a new one.
    return Runner.objects.get(pk=mine)


def test_a_system_prompt_may_hold_what_no_column_takes(conversation: Any, user: Any) -> None:
    prompt = Prompt("gpt-5", system_prompt="Be \0 kind \ud800.", previous={"messages": []})
    turn = conversation.start_turn("hi", user=user, prompt=prompt)
    data: Any = Event.objects.get(stream_id=conversation.pk, turn_id=turn.turn_id).data
    assert Content.objects.get(pk=data.system_prompt).text == "Be \ufffd kind \ufffd."
