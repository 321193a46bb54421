"""What an answer is made of: the steps in which it comes, and what there is of it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...events.rounds import FailedCall

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More of what the model thinks before it goes on, as its provider tells it."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call of the model has ended: its message, or why there is none. `number` counts both from
    0; `seconds` is how long it took."""

    number: int
    gave: AIMessage | FailedCall
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is about to run. `number` counts the turn's tool calls from 0."""

    number: int
    tool: str
    input: Any


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """What a tool returned: an item of the completion hook's `tools_output_list`, and as text."""

    number: int
    output: dict[str, Any]
    shown: str


Step = TextDelta | ThinkingDelta | CallEnded | ToolStarted | ToolFinished


@dataclass
class Answer:
    """A turn's answer as it grows; it can be recorded at any moment.

    `rounds` holds what each call of the model gave, as its provider gave it, or how it failed, if
    another try followed. `seconds` holds how long those took that gave a message. `tools_at` holds,
    for each tool call, the number of characters of the text before it, and `outputs` what the tools
    gave, by the number of the call, in the order in which they ended.
    """

    text: str = ""
    rounds: list[AIMessage | FailedCall] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    tools_at: list[int] = field(default_factory=list)
    message: AIMessage | None = None
    """The whole answer, once the model has ended."""
    held: list[tuple[int, Any]] = field(default_factory=list)
    """The calls that wait for a person, with their numbers."""
    rejected: set[int] = field(default_factory=set)
    """The numbers of the calls that a person has rejected."""

    @property
    def tools_output_list(self) -> list[dict[str, Any]]:
        """What the tools gave, in the order of the calls."""
        return [self.outputs[number] for number in sorted(self.outputs)]

    @property
    def messages(self) -> list[AIMessage]:
        """What the calls gave that did not fail."""
        return [gave for gave in self.rounds if not isinstance(gave, FailedCall)]

    @property
    def metadata(self) -> dict[str, Any]:
        """What the turn's events say of it, beside words: where in the text its tools were called,
        and how many seconds each call of the model took that gave a message."""
        tools_at = [self.tools_at[number] for number in sorted(self.outputs)]
        said: dict[str, Any] = {"tools_at": tools_at, "call_seconds": list(self.seconds)}
        return said | ({"rejected": sorted(self.rejected)} if self.rejected else {})

    def numbered(self, calls: Sequence[Any]) -> list[tuple[int, Any]]:
        """Note that the model makes these calls here; return them with their numbers."""
        first = len(self.tools_at)
        self.tools_at += [len(self.text)] * len(calls)
        return list(enumerate(calls, first))

    def partial_message(self) -> AIMessage | None:
        """Return the answer so far; None if there is none."""
        from langchain_core.messages import AIMessage

        return self.message or (AIMessage(self.text) if self.text else None)
