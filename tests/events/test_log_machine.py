"""The log against a model of it: whatever is done in whatever order, it is what the model says.

The model is lists of facts, and what turns.py, forks.py and listed.py promise, said once more.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import AIMessage, HumanMessage

from tests.events.hashes import hash_of
from turnlog.core import codec
from turnlog.core.errors import (
    ConcurrencyError,
    MomentError,
    TurnConflict,
    TurnInProgress,
    UnknownTurn,
)
from turnlog.events.listed import fold
from turnlog.events.log import NewEvent, append, read, read_all
from turnlog.events.models import Conversation, Event, Pending, Position
from turnlog.events.store import sequence as sequencing
from turnlog.events.store.hashing import GENESIS
from turnlog.events.store.sequence import sequence
from turnlog.events.types import MessageAppended
from turnlog.projections.models import ConversationMessage

pytestmark = pytest.mark.django_db

COMPLETION = ("MessageAppended", "ToolOutputRecorded")
TURNS = [uuid.UUID(int=number, version=4) for number in range(1, 4)]
"""A few, so that they are used again: with the same words, with others, in another room."""
WORDS = st.sampled_from(["one", "two"])


class Fact(NamedTuple):
    """What the model knows of an event. `text` is the words that tell it from others."""

    type: str
    turn_id: uuid.UUID | None = None
    text: str = ""


@dataclass
class Stream:
    """The model of a conversation."""

    room: Conversation
    facts: list[Fact] = field(default_factory=list)

    def of_turn(self, turn_id: uuid.UUID) -> list[Fact]:
        return [fact for fact in self.facts if fact.turn_id == turn_id]

    def add(self, *facts: Fact) -> None:
        if not self.facts and facts[0].type != "ConversationOpened":
            self.facts.append(Fact("ConversationOpened"))
        self.facts += facts

    @property
    def open_turn(self) -> uuid.UUID | None:
        """Of the last turn that was started, if nothing has ended it."""
        started = [n for n, fact in enumerate(self.facts) if fact.type == "TurnStarted"]
        if not started:
            return None
        turn_id = self.facts[started[-1]].turn_id
        later = self.facts[started[-1] + 1 :]
        return None if any(fact.turn_id == turn_id for fact in later) else turn_id

    def listed(self, until: int) -> list[int]:
        """Versions of the message list as it stood at a version."""
        listed: list[int] = []
        begun: set[Any] = set()
        hidden: set[Any] = set()
        for version, fact in enumerate(self.facts[:until], start=1):
            if fact.type == "ConversationCleared":
                listed, hidden = [], hidden | begun
            elif fact.type in COMPLETION and fact.turn_id not in hidden:
                listed.append(version)
                begun.discard(fact.turn_id)
            elif fact.type == "TurnStarted":
                begun.add(fact.turn_id)
        return listed


def recorded(turn_id: uuid.UUID, words: str, tools: int) -> list[Fact]:
    """The facts of a finished turn."""
    human, answer = (
        Fact(COMPLETION[0], turn_id, words),
        Fact(COMPLETION[0], turn_id, f"re: {words}"),
    )
    outputs = [Fact(COMPLETION[1], turn_id, f"{words} {number}") for number in range(tools)]
    return [human, *outputs, answer]


def text_of(event: Event) -> str:
    """What an event says, as in a `Fact`."""
    data: Any = event.data
    if event.type == "ToolOutputRecorded":
        return str(codec.decode(data.output))
    if event.type in ("MessageAppended", "TurnStarted"):
        return str(codec.decode(data.message).content)
    return str(data.outcome) if event.type == "TurnFailed" else ""


class LogMachine(RuleBasedStateMachine):
    """Conversations, what is done to them, and a reader that follows."""

    streams = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(transaction.atomic())
        self._stack.callback(transaction.set_rollback, True)
        self.model: dict[int, Stream] = {}
        self.seen: list[tuple[int, int, int]] = []

    def teardown(self) -> None:
        self._stack.close()

    @rule(target=streams)
    def open_a_conversation(self) -> Any:
        return self._know(Conversation.objects.create())

    @rule(stream=streams, words=st.lists(WORDS, min_size=1, max_size=3))
    def append(self, stream: Stream, words: list[str]) -> None:
        before = len(stream.facts)
        stored = append(stream.room.pk, self._offered(words))
        self._append(stream, words)
        assert [event.version for event in stored] == list(range(before + 1, len(stream.facts) + 1))

    @rule(stream=streams, words=WORDS, version=st.integers(0, 4))
    def append_after_a_version(self, stream: Stream, words: str, version: int) -> None:
        head = len(stream.facts)
        # From the head back, so that it is the right one more often.
        expected = head - version if version <= head else head + version
        if expected == head:
            append(stream.room.pk, self._offered([words]), expected_version=expected)
            self._append(stream, [words])
            return
        with pytest.raises(ConcurrencyError) as caught:
            append(stream.room.pk, self._offered([words]), expected_version=expected)
        assert (caught.value.expected, caught.value.actual) == (expected, head)

    @rule(stream=streams, turn_id=st.sampled_from(TURNS), words=WORDS)
    def start(self, stream: Stream, turn_id: uuid.UUID, words: str) -> None:
        known = stream.of_turn(turn_id)
        if known and known[0].type == "TurnStarted" and known[0].text != words:
            with pytest.raises(TurnConflict):
                stream.room.start_turn(words, turn_id=turn_id)
        elif not known and stream.open_turn:
            with pytest.raises(TurnInProgress) as caught:
                stream.room.start_turn(words, turn_id=turn_id)
            assert caught.value.turn_id == stream.open_turn
        else:
            turn = stream.room.start_turn(words, turn_id=turn_id)
            assert turn.created is not bool(known)
            if not known:
                stream.add(Fact("TurnStarted", turn_id, words))
            first = stream.facts.index(stream.of_turn(turn_id)[0]) + 1
            assert turn.event.version == first

    @rule(stream=streams, turn_id=st.sampled_from(TURNS), words=WORDS, tools=st.integers(0, 2))
    def record(self, stream: Stream, turn_id: uuid.UUID, words: str, tools: int) -> None:
        offered = recorded(turn_id, words, tools)
        kept = [fact for fact in stream.of_turn(turn_id) if fact.type in COMPLETION]
        outputs = [{"tool": "look", "output": f"{words} {number}"} for number in range(tools)]

        def record() -> list[Event]:
            message, answer = HumanMessage(words), AIMessage(f"re: {words}")
            return stream.room.record_turn(message, answer, outputs, turn_id=turn_id)

        if kept and kept != offered:
            with pytest.raises(TurnConflict):
                record()
            return
        events = record()
        if not kept:
            stream.add(*offered)
        places = [n for n, fact in enumerate(stream.facts, start=1) if fact in offered]
        assert [event.version for event in events if event.turn_id] == places

    @rule(
        stream=streams,
        turn_id=st.sampled_from(TURNS),
        outcome=st.sampled_from(["failed", "cancelled"]),
    )
    def fail(self, stream: Stream, turn_id: uuid.UUID, outcome: Any) -> None:
        known = stream.of_turn(turn_id)
        if not known:
            with pytest.raises(UnknownTurn):
                stream.room.fail_turn(turn_id, outcome)
            return
        events = stream.room.fail_turn(turn_id, outcome)
        if known[-1].type == "TurnStarted":
            stream.add(Fact("TurnFailed", turn_id, outcome))
            assert [event.version for event in events] == [len(stream.facts)]
        else:
            assert events == []

    @rule(stream=streams)
    def clear(self, stream: Stream) -> None:
        event = stream.room.clear()
        stream.add(Fact("ConversationCleared"))
        assert event.version == len(stream.facts)

    @rule(target=streams, stream=streams, back=st.integers(0, 4))
    def fork(self, stream: Stream, back: int) -> Any:
        version = len(stream.facts) - back
        if version < 1:
            with pytest.raises(MomentError):
                stream.room.fork(version)
            return multiple()
        forked = self._know(stream.room.fork(version))
        forked.add(Fact("ConversationOpened"), Fact("ConversationForked"))
        forked.add(*(stream.facts[listed - 1] for listed in stream.listed(version)))
        return forked

    @rule(size=st.integers(1, 4))
    def sequence_in_pieces(self, size: int) -> None:
        known = sum(len(stream.facts) for stream in self.model.values())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sequencing, "BATCH", size)
            without = known - Position.objects.count()
            assert sequence() == without
        assert not Pending.objects.exists()

    @rule(limit=st.integers(1, 5))
    def follow(self, limit: int) -> None:
        after = self.seen[-1][0] if self.seen else 0
        page = [(e.position, e.stream_id, e.version) for e in read_all(after=after, limit=limit)]
        known = sum(len(stream.facts) for stream in self.model.values())
        assert len(page) == min(limit, known - len(self.seen))
        self.seen += page

    @rule(stream=streams, after=st.integers(0, 5), until=st.none() | st.integers(0, 8))
    def read_a_piece(self, stream: Stream, after: int, until: int | None) -> None:
        head = len(stream.facts)
        last = head if until is None else min(until, head)
        versions = [event.version for event in read(stream.room.pk, after=after, until=until)]
        assert versions == list(range(after + 1, last + 1))

    @invariant()
    def streams_are_what_the_model_says(self) -> None:
        for stream in self.model.values():
            events = list(read(stream.room.pk))
            facts = [Fact(event.type, event.turn_id, text_of(event)) for event in events]
            assert facts == stream.facts
            assert [event.version for event in events] == list(range(1, len(events) + 1))
            previous = GENESIS
            for event in events:
                assert bytes(event.hash) == hash_of(event, previous)
                previous = bytes(event.hash)
            times = [event.recorded_at for event in events]
            assert times == sorted(times)

    @invariant()
    def the_message_list_follows_from_the_log(self) -> None:
        for stream in self.model.values():
            rows = ConversationMessage.objects.filter(conversation=stream.room).order_by("version")
            versions = list(rows.values_list("version", flat=True))
            assert versions == stream.listed(len(stream.facts))
            assert versions == [entry.version for entry in fold(read(stream.room.pk))]

    @invariant()
    def what_was_seen_has_its_place_for_ever(self) -> None:
        assert [position for position, _, _ in self.seen] == list(range(1, len(self.seen) + 1))
        for pk in self.model:
            versions = [version for _, stream, version in self.seen if stream == pk]
            assert versions == list(range(1, len(versions) + 1))
        places = Position.objects.order_by("position")[: len(self.seen)]
        assert list(places.values_list("position", "stream_id", "version")) == self.seen

    def _know(self, room: Conversation) -> Stream:
        self.model[room.pk] = Stream(room)
        return self.model[room.pk]

    def _offered(self, words: list[str]) -> list[NewEvent]:
        return [NewEvent(MessageAppended(codec.encode(HumanMessage(text)))) for text in words]

    def _append(self, stream: Stream, words: list[str]) -> None:
        stream.add(*(Fact("MessageAppended", None, text) for text in words))


def test_the_log_does_what_its_model_does() -> None:
    run_state_machine_as_test(
        LogMachine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
