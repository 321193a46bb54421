"""A process that lives a random story over conversations that it shares with others.

It says what it is about to do, does it, and says at once what it was told.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Max
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.core import codec
from turnlog.core.errors import ConcurrencyError, TurnConflict, TurnInProgress
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.types import MessageAppended

from .child import Wire

_SHARED_TURNS = uuid.UUID("6f0c1ad7-3a3f-5c5e-9d0b-1f2d3c4b5a69")
_REMEMBERED = 20


class Writer:
    """One life: stories of one or more operations each, until it is told to stop."""

    def __init__(self, wire: Wire, label: str, seed: int, streams: Sequence[int]) -> None:
        self.wire, self.label = wire, label
        self.choose = random.Random(f"{seed}/{label}")
        self.rooms = list(Conversation.objects.filter(pk__in=streams).order_by("pk"))
        self.people: list[Any] = [*get_user_model().objects.order_by("pk"), None]
        self.recorded: list[Callable[[str], Any]] = []
        self._count = 0

    def run(self) -> None:
        stories = {
            self.a_turn: 6,
            self.a_turn_at_once: 4,
            self.a_turn_that_fails: 2,
            self.a_clearing: 1,
            self.some_messages: 2,
            self.messages_after_a_version: 3,
            self.a_stale_version: 1,
            self.again: 3,
            self.again_with_other_content: 1,
            self.a_new_conversation: 1,
        }
        while not self.wire.stopping:
            for order in self.wire.orders():
                if order.startswith("hook "):
                    _, name, stream = order.split()
                    self.a_hook_that_others_run_too(name, int(stream))
            [story] = self.choose.choices(list(stories), list(stories.values()))
            story()

    def a_turn(self) -> None:
        room, user = self.choose.choice(self.rooms), self.choose.choice(self.people)
        if (turn_id := self._start(room, user)) is not None:
            if self.choose.random() < 0.3:
                # The room is not ours alone meanwhile.
                self.choose.choice([self.a_turn_at_once, self.some_messages, self.a_clearing])()
            self._record(room, user, turn_id)

    def a_turn_at_once(self) -> None:
        self._record(self.choose.choice(self.rooms), self.choose.choice(self.people), self._uuid())

    def a_turn_that_fails(self) -> None:
        room = self.choose.choice(self.rooms)
        if (turn_id := self._start(room, self.choose.choice(self.people))) is None:
            return
        mark = self._mark()

        def fail() -> Any:
            error = {"type": "Torture", "text": mark}
            return room.fail_turn(turn_id, "failed", error=error, ai_message=AIMessage("half"))

        self._attempt(mark, room.pk, ["TurnFailed"], fail)

    def a_clearing(self) -> None:
        room, mark = self.choose.choice(self.rooms), self._mark()
        self._attempt(mark, room.pk, ["ConversationCleared"], lambda: [room.clear(reason=mark)])

    def some_messages(self) -> None:
        self._append(self.choose.choice(self.rooms))

    def messages_after_a_version(self) -> None:
        room = self.choose.choice(self.rooms)
        self._append(room, self._head(room), refusals=(ConcurrencyError,))

    def a_stale_version(self) -> None:
        room = self.choose.choice(self.rooms)
        if head := self._head(room):
            version = self.choose.randint(max(0, head - 3), head - 1)
            self._append(room, version, refusals=(ConcurrencyError,), must_refuse=True)

    def again(self) -> None:
        """A repeated hook is told what it was told at first, which the ledger compares."""
        if self.recorded:
            self.choose.choice(self.recorded)("again")

    def again_with_other_content(self) -> None:
        if self.recorded:
            self.choose.choice(self.recorded)("otherwise")

    def a_new_conversation(self) -> None:
        user = self.choose.choice(self.people)
        room = Conversation.objects.create(user=user, title=self.label)
        self._record(room, user, self._uuid())

    def a_hook_that_others_run_too(self, name: str, stream: int) -> None:
        """The same turn, to the letter, from several processes at once."""
        turn_id, text = uuid.uuid5(_SHARED_TURNS, name), f"shared/{name}"
        [room] = [room for room in self.rooms if room.pk == stream]
        record = partial(self._recording, room, None, turn_id, text, [])
        self._attempt(text, stream, ["MessageAppended"] * 2, partial(record, text, text))

    def _start(self, room: Conversation, user: Any) -> uuid.UUID | None:
        mark, turn_id = self._mark(), self._uuid()

        def start() -> Any:
            words = HumanMessage(self._text(mark))
            turn = room.start_turn(words, user=user, turn_id=turn_id, metadata={"operation": mark})
            again = room.start_turn(words, user=user, turn_id=turn_id)
            if again.created or again.event.version != turn.event.version:
                raise ValueError(f"{mark} was started twice: {turn} and {again}")
            return [turn.event]

        begun = self._attempt(mark, room.pk, ["TurnStarted"], start, refusals=(TurnInProgress,))
        return turn_id if begun else None

    def _record(self, room: Conversation, user: Any, turn_id: uuid.UUID) -> None:
        mark = self._mark()
        outputs = [
            {"tool": "look", "output": self._text(mark), "tool_call_id": f"call-{number}"}
            for number in range(self.choose.choice([0, 0, 1, 3]))
        ]
        record = partial(self._recording, room, user, turn_id, self._text(mark), outputs)
        types = ["MessageAppended", *["ToolOutputRecorded"] * len(outputs), "MessageAppended"]

        def attempt(how: str) -> Any:
            if how == "otherwise":
                other = self._mark()
                act, refusals = partial(record, other, "other"), (TurnConflict,)
                return self._attempt(other, room.pk, types, act, refusals, must_refuse=True)
            return self._attempt(mark, room.pk, types, partial(record, mark, "answer"))

        attempt("at first")
        self.recorded = [*self.recorded[1 - _REMEMBERED :], attempt]

    def _recording(
        self,
        room: Conversation,
        user: Any,
        turn_id: uuid.UUID,
        text: str,
        outputs: list[Any],
        mark: str,
        answer: str,
    ) -> Any:
        return room.record_turn(
            HumanMessage(text),
            AIMessage(answer, id=str(turn_id)),
            outputs,
            user=user,
            turn_id=turn_id,
            metadata={"operation": mark},
        )

    def _append(self, room: Conversation, version: int | None = None, **expected: Any) -> None:
        mark = self._mark()
        events = messages(mark, self.choose.randint(1, 4))

        def act() -> Any:
            stored = append(room.pk, events, expected_version=version)
            if version is not None and stored[0].version != version + 1:
                raise ValueError(f"{mark} expected version {version}: {stored}")
            return stored

        self._attempt(mark, room.pk, ["MessageAppended"] * len(events), act, **expected)

    def _attempt(
        self,
        mark: str,
        stream: int,
        types: Sequence[str],
        act: Callable[[], Any],
        refusals: tuple[type[Exception], ...] = (),
        must_refuse: bool = False,
    ) -> bool:
        self.wire.tell(begin=mark, stream=stream, types=types, transaction=mark)
        try:
            events = act()
        except refusals as error:
            self.wire.tell(refused=mark, why=type(error).__name__)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody should see it.
            self.wire.tell_error(error, mark)
            return False
        self.wire.tell(done=mark, places=places(events, types))
        if must_refuse:
            self.wire.tell_surprise(f"{mark} should have been refused")
        return True

    def _head(self, room: Conversation) -> int:
        return Event.objects.filter(stream_id=room.pk).aggregate(head=Max("version"))["head"] or 0

    def _text(self, mark: str) -> str:
        return f"{mark} " + "안녕 " * self.choose.choice([1, 10, 500])

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.choose.getrandbits(128), version=4)

    def _mark(self) -> str:
        self._count += 1
        return f"{self.label}/{self._count}"


def write(wire: Wire, *, label: str, seed: int, streams: Sequence[int]) -> None:
    Writer(wire, label, seed, streams).run()


def messages(mark: str, count: int) -> list[NewEvent]:
    """Some messages of no turn, with an operation's mark."""
    metadata = {"operation": mark}
    return [
        NewEvent(MessageAppended(codec.encode(HumanMessage(f"{mark}: {n}"))), metadata=metadata)
        for n in range(count)
    ]


def places(events: Sequence[Event], types: Sequence[str]) -> list[tuple[int, str]]:
    """Where an operation's own events are: its stream may have been opened by it, too."""
    return [(event.version, bytes(event.hash).hex()) for event in events if event.type in types]
