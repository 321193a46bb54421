"""The turns that histories have begun and not ended yet, and what came in between.

An object that is dropped, because a run raised or ended otherwise, leaves its turn open. The next
one that looks at the conversation sees that nobody has it any more, and ends it.
"""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from ...core import codec
from ...events import drafts, runners
from ...events.models import Conversation
from ...events.rounds import restored
from ...events.types import Outcome, TurnStarted
from ...events.waiting import open_turn
from .dialects import answer, raw_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, HumanMessage

NEIGHBOUR = "neighbour"
"""The key of a turn's metadata that names the dialect of the history that began it."""


class OpenTurn:
    """A turn that a history has begun: it is that history's for as long as it keeps this object."""

    def __init__(self, conversation: Conversation, dialect: str, turn_id: uuid.UUID) -> None:
        self._conversation, self._dialect, self._turn_id = conversation, dialect, turn_id

    def keep(self, number: int, raw: Sequence[Any]) -> None:
        """Keep what came in between as a draft: it outlives the history, and this process.

        `number` grows with each call. Raises CodecError.
        """
        part = answer("", self._dialect, raw)
        drafts.keep(self._conversation.pk, self._turn_id, number, "", (), [part])

    def forget(self) -> None:
        """Drop what was kept."""
        drafts.drop([self._turn_id])

    def record(
        self, said: HumanMessage, answered: AIMessage, tools: Sequence[Any], user: Any
    ) -> None:
        self._conversation.record_turn(
            said, answered, tools or None, user=user, turn_id=self._turn_id
        )
        self.forget()

    def fail(
        self, outcome: Outcome, produced: AIMessage | None = None, tools: Sequence[Any] = ()
    ) -> None:
        self._conversation.fail_turn(
            self._turn_id, outcome, ai_message=produced, tools_output_list=tools or None
        )
        self.forget()


_living: WeakValueDictionary[uuid.UUID, OpenTurn] = WeakValueDictionary()


class LeftTurn(NamedTuple):
    """A turn that nobody has any more: what began it, and what was kept of what came after."""

    turn: OpenTurn
    dialect: str
    said: HumanMessage
    kept: list[Any]

    def fail(self) -> None:
        produced = answer("", self.dialect, self.kept) if self.kept else None
        self.turn.fail("interrupted", produced)


def begin(
    conversation: Conversation,
    dialect: str,
    said: HumanMessage,
    *,
    user: Any,
    metadata: Mapping[str, Any],
    **more: Any,
) -> OpenTurn:
    """Begin a turn. Raises what `start_turn` raises."""
    turn_id = uuid.uuid4()
    turn = OpenTurn(conversation, dialect, turn_id)
    _living[turn_id] = turn  # First: as soon as it is committed, others may look for its owner.
    marked = {**metadata, NEIGHBOUR: dialect}
    conversation.start_turn(said, user=user, turn_id=turn_id, metadata=marked, **more)
    return turn


def left_open(conversation: Conversation, *, thoroughly: bool = False) -> LeftTurn | None:
    """Return the conversation's open turn, if a history began it and is gone.

    An error's traceback refers to itself, and so keeps what a run had until it is collected:
    `thoroughly` collects it first. That takes long in a large process. If another history is in a
    run, it takes a fifth of a second more.
    """
    opened = open_turn(conversation.pk)
    if opened is None or opened.turn_id is None or opened.waits:
        return None
    dialect, data = opened.started.meta.get(NEIGHBOUR), opened.started.data
    if not isinstance(dialect, str) or not isinstance(data, TurnStarted):
        return None
    if runners.is_this_process(opened.runner):
        if thoroughly and opened.turn_id in _living:
            gc.collect()
            _let_go(opened.turn_id)
        if opened.turn_id in _living:
            return None
    elif not runners.is_abandoned(opened.runner):
        return None
    turn = OpenTurn(conversation, dialect, opened.turn_id)
    return LeftTurn(turn, dialect, codec.decode(data.message), _kept(opened.turn_id, dialect))


def _let_go(turn_id: uuid.UUID) -> None:
    """Wait a moment: the thread that ran a dropped object's last call has it until it goes on."""
    until = time.monotonic() + 0.2
    while turn_id in _living and time.monotonic() < until:
        time.sleep(0.002)


def _kept(turn_id: uuid.UUID, dialect: str) -> list[Any]:
    produced = drafts.produced_by(turn_id) or {}
    parts = [restored(one) for one in produced.get("rounds", ())]
    return [each for part in parts for each in raw_of(part, dialect) or ()]
