"""The events of a turn's model calls, through all that may become of a conversation."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from langchain_core.messages import AIMessage

from tests.events.proof.made import KEY
from tests.everywhere import places_of
from turnlog.core.errors import ArgumentError, TurnConflict
from turnlog.events.models import Conversation, Event
from turnlog.models import ConversationMessage
from turnlog.projections import as_of

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = [{"name": "look", "args": {}, "id": "call-1"}]


def rounds_with(word: str) -> list[AIMessage]:
    thought = [{"type": "thinking", "thinking": word, "signature": "c2ln"}]
    return [AIMessage(thought, tool_calls=CALLS), AIMessage(f"So it is {word}.")]


def record(room: Conversation, word: str, **more: Any) -> list[Event]:
    outputs = [{"tool": "look", "tool_call_id": "call-1", "output": "noon"}]
    return room.record_turn(
        "When?", AIMessage("It is noon."), outputs, rounds=rounds_with(word), **more
    )


def types(events: Any) -> list[str]:
    return [event.type for event in events]


def test_they_stand_among_the_tools_outputs(conversation: Conversation) -> None:
    assert types(record(conversation, "tea")) == [
        *("MessageAppended", "ModelCallRecorded", "ToolOutputRecorded"),
        *("ModelCallRecorded", "MessageAppended"),
    ]
    said = ConversationMessage.objects.get_histories(conversation)
    assert len(said) == 3


def test_a_second_recording_is_the_first(conversation: Conversation) -> None:
    turn_id = uuid.uuid4()
    first = record(conversation, "tea", turn_id=turn_id)
    again = record(conversation, "tea", turn_id=turn_id)
    assert [event.version for event in again] == [event.version for event in first]
    with pytest.raises(TurnConflict):
        record(conversation, "coffee", turn_id=turn_id)


def test_outputs_that_belong_to_no_call_come_last(conversation: Conversation) -> None:
    outputs = [{"tool": name, "output": name} for name in "ab"]
    events = conversation.record_turn(
        "When?", AIMessage("Now."), outputs, rounds=[AIMessage("", tool_calls=CALLS)]
    )
    assert types(events)[1:-1] == ["ModelCallRecorded", "ToolOutputRecorded", "ToolOutputRecorded"]


@pytest.mark.parametrize("rounds", ["text", [1], {"a": 1}, [AIMessage("a"), "b"]])
def test_what_is_no_list_of_messages_is_refused(conversation: Conversation, rounds: Any) -> None:
    with pytest.raises(ArgumentError, match="rounds"):
        conversation.record_turn("When?", AIMessage("Now."), rounds=rounds)
    assert not Event.objects.filter(stream_id=conversation.pk).exists()


def test_an_erasure_takes_them_along(conversation: Conversation) -> None:
    word = f"quokka{uuid.uuid4().hex}"
    [first, *_] = record(conversation, word)
    failed = conversation.start_turn("And?")
    conversation.fail_turn(failed.turn_id, rounds=rounds_with(word))
    fork = conversation.fork()
    assert types(Event.objects.filter(stream_id=fork.pk).order_by("version"))[2:] == [
        *("MessageAppended", "ToolOutputRecorded", "MessageAppended")
    ]
    assert places_of(word) != []
    assert first.turn_id is not None
    conversation.erase(turns=[first.turn_id, failed.turn_id], reason="request 7")
    assert places_of(word) == []
    call_command("verify_log", verbosity=0, stdout=io.StringIO())


def test_a_bundle_with_them_verifies(
    conversation: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNLOG_SIGNING_KEY", KEY.secret())
    record(conversation, "tea")
    call_command("checkpoint_log", verbosity=0, stdout=io.StringIO())
    bundle = tmp_path / "bundle"
    out = io.StringIO()
    call_command(
        "export_log", f"--conversation={conversation.pk}", f"--output={bundle}", stdout=out
    )
    done = subprocess.run(
        [sys.executable, "-m", "turnlog.events.verify", str(bundle)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_replay_shows_what_each_call_gave(conversation: Conversation) -> None:
    record(conversation, "tea")
    out = io.StringIO()
    call_command("replay_conversation", str(conversation.pk), stdout=out)
    assert "model call" in out.getvalue()
    assert "calls look({})" in out.getvalue()
    assert as_of(conversation).messages[-1].content == "It is noon."
