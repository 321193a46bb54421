"""One turn of a made-up conversation, as the chat would write it.

Messages are encoded once, from LangChain's own, and then varied: tests hold them equal to what
the codec makes of the messages themselves.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from turnlog.core import codec
from turnlog.events.log import NewEvent
from turnlog.events.types import (
    ConversationCleared,
    MessageAppended,
    ToolOutputRecorded,
    TurnFailed,
    TurnStarted,
)

from .texts import ERRORS, Subject

_CONTEXT_TOKENS = 60_000
# One tool call in twenty fails; the model deals with it.
_TOOL_ERRORS = 0.05


class Step(NamedTuple):
    """One append: so many seconds after the one before, these events."""

    seconds: float
    events: Sequence[NewEvent]


@dataclass(slots=True)
class Talk:
    """What all turns of a conversation share, and how far it has come: it is opened already.

    `context` counts the tokens of its history. `listed` has for each actor the versions of their
    first and last message in the list, as `TurnStarted.previous` names them.
    """

    rng: Random
    subject: Subject
    prompt: Mapping[str, Any]
    runner: uuid.UUID
    version: int = 1
    context: int = 0
    listed: dict[uuid.UUID, tuple[int, int]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return str(self.prompt["model"])

    def step(self, seconds: float, events: Sequence[NewEvent]) -> Step:
        """What happens next."""
        self.version += len(events)
        return Step(seconds, events)

    def cleared(self, seconds: float, actor_id: uuid.UUID) -> Step:
        """Somebody empties the message list."""
        # Another list, not an emptied one: a turn that is under way adds to the old one.
        self.context, self.listed = 0, {}
        return self.step(seconds, [NewEvent(ConversationCleared(), actor_id=actor_id)])


class Turn:
    """A turn from the person's words on: begin with `started`, end with one of the others."""

    def __init__(self, talk: Talk, actor_id: uuid.UUID, *, initial: bool = False) -> None:
        self.talk, self.rng, self.actor_id = talk, talk.rng, actor_id
        self.listed = talk.listed
        self.turn_id = uuid.UUID(int=self.rng.getrandbits(128), version=4)
        self.initial = initial and bool(talk.subject.opening)
        slots = talk.subject.slots
        self.words = {name: self.rng.choice(choices) for name, choices in slots.items()}
        said = talk.subject.opening if self.initial else self._say(talk.subject.questions)
        self.human = human_document(said)
        talk.context += _tokens(said)

    def started(self, seconds: float) -> Step:
        """The person's words, committed before the model is called."""
        metadata: dict[str, Any] = {"runner": str(self.talk.runner)}
        if self.initial:
            metadata["initial"] = True
        since, until = self.listed.get(self.actor_id, (0, 0))
        previous = {"tools": False, "since": since, "until": until}
        data = TurnStarted(self.human, **{**self.talk.prompt, "previous": previous})
        return self.talk.step(seconds, [self._event(data, metadata)])

    def completed(self, tools: int) -> Step:
        """Words, tool outputs and answer, in one batch."""
        outputs = [self._tool_output() for _ in range(tools)]
        text = self._answer()
        metadata = {"tools_at": [0] * tools}
        batch = [
            MessageAppended(self.human),
            *outputs,
            MessageAppended(self._ai(text, tools)),
        ]
        first = self.talk.version + 1
        since, _ = self.listed.get(self.actor_id, (first, 0))
        self.listed[self.actor_id] = since, self.talk.version + len(batch)
        seconds = self._latency(text) + sum(output.duration or 0 for output in outputs)
        return self.talk.step(seconds, [self._event(data, metadata) for data in batch])

    def failed(self) -> Step:
        """No answer to keep, but perhaps the beginning of one."""
        chance = self.rng.random()
        text = self._answer()
        partial = text[: self.rng.randrange(1, len(text))]
        if chance < 0.4:
            error = self.rng.choice(ERRORS)
            seconds = 60.0 if error["kind"] == "timeout" else self.rng.uniform(0.2, 5)
            partial = partial if error["kind"] == "truncated" else ""
            return self._failure("failed", partial, seconds, error)
        if chance < 0.8:
            return self._failure("cancelled", partial, self.rng.uniform(1, 10))
        # Closed by whoever came next, which may take a while.
        return self._failure("interrupted", "", self.rng.expovariate(1 / 1800))

    def _failure(
        self, outcome: Any, partial: str, seconds: float, error: Mapping[str, str] | None = None
    ) -> Step:
        ran_tool = bool(partial) and self.rng.random() < 0.15
        produced = {
            "message": ai_document(partial) if partial else None,
            "tools": [self._tool_output().payload()] if ran_tool else [],
        }
        failure = self._event(TurnFailed(outcome, produced, error), {})
        return self.talk.step(seconds, [failure])

    def _event(self, data: Any, metadata: Mapping[str, Any]) -> NewEvent:
        return NewEvent(data, self.turn_id, self.actor_id, metadata)

    def _say(self, choices: Sequence[str]) -> str:
        return self.rng.choice(choices).format_map(self.words)

    def _answer(self) -> str:
        """Some sentences, now and then with a table, a list or code, now and then long."""
        subject, chance = self.talk.subject, self.rng.random()
        count = 2 + int(chance * 6) if chance < 0.98 else 24
        text = " ".join(self.rng.choices(subject.sentences, k=count))
        if self.rng.random() < 0.3:
            text = f"{text}\n\n{self.rng.choice(subject.blocks)}"
        return text.format_map(self.words)

    def _tool_output(self) -> ToolOutputRecorded:
        tool = self.talk.subject.tool
        failed = self.rng.random() < _TOOL_ERRORS
        output = "TimeoutError: no answer within 5 s" if failed else self._say(tool.outputs)
        return ToolOutputRecorded(
            tool=tool.name,
            tool_call_id=f"call_{self.rng.getrandbits(96):024x}",
            input={name: text.format_map(self.words) for name, text in tool.arguments.items()},
            output=output,
            status="error" if failed else "ok",
            duration=5.0 if failed else round(self.rng.uniform(0.02, 1.5), 3),
        )

    def _ai(self, text: str, tools: int) -> dict[str, Any]:
        talk = self.talk
        # Every round of tools reads the whole conversation again.
        read, written = (tools + 1) * (200 + talk.context), _tokens(text) + 20 * tools
        talk.context = min(talk.context + written, _CONTEXT_TOKENS)
        run = f"lc_run--{uuid.UUID(int=self.rng.getrandbits(128), version=4)}"
        return ai_document(text, run, talk.model, read, written)

    def _latency(self, text: str) -> float:
        """Seconds until the first word, and until the last."""
        return self.rng.lognormvariate(0, 0.5) + len(text) / 200


def human_document(text: str) -> dict[str, Any]:
    """What the codec makes of `HumanMessage(text)`."""
    template = _templates()[0]
    return {**template, "_value": {**template["_value"], "content": text}}


def ai_document(
    text: str,
    run: str | None = None,
    model: str | None = None,
    tokens_read: int = 0,
    tokens_written: int = 0,
) -> dict[str, Any]:
    """What the codec makes of an answer: with a model a whole one, without what came of it."""
    template = _templates()[1]
    value = {**template["_value"], "content": text}
    if model is not None:
        value["id"] = run
        value["response_metadata"] = {"finish_reason": "stop", "model_name": model}
        value["usage_metadata"] = {
            "input_tokens": tokens_read,
            "output_tokens": tokens_written,
            "total_tokens": tokens_read + tokens_written,
        }
    return {**template, "_value": value}


def _tokens(text: str) -> int:
    return 1 + len(text) // 3


@functools.cache
def _templates() -> tuple[dict[str, Any], dict[str, Any]]:
    # When first asked for: LangChain takes its time to import.
    from langchain_core.messages import AIMessage, HumanMessage

    return codec.encode(HumanMessage("")), codec.encode(AIMessage(""))
