"""The order of a turn: each call of the model, then the outputs of the tools that it called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..core import codec
from ..core.wellformed import wellformed_value
from .types import ModelCallFailed, ModelCallRecorded

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call of the model that failed, and was followed by another try.

    `error` holds `type`, `kind` and `text`; `duration` is in seconds; `message` is what had come of
    the answer, if anything had.
    """

    model: str
    error: Mapping[str, str]
    duration: float | None = None
    message: AIMessage | None = None


Round = Any
"""An AIMessage, or a FailedCall."""


def in_order(rounds: Sequence[Round], outputs: Iterable[T]) -> Iterator[Round | T]:
    """Yield each round and then an output for each of its calls, as far as there are any; the
    outputs that remain come last."""
    left = iter(outputs)
    for round_ in rounds:
        yield round_
        yield from islice(left, len(calls_of(round_)))
    yield from left


def calls_of(round_: Round) -> list[Any]:
    """Return a message's tool calls, those that cannot be run last. A failed call has none."""
    if isinstance(round_, FailedCall):
        return []
    return [*round_.tool_calls, *round_.invalid_tool_calls]


def recorded(round_: Round) -> ModelCallRecorded | ModelCallFailed:
    """Return the event of a call of the model. Raises CodecError."""
    if not isinstance(round_, FailedCall):
        return ModelCallRecorded(codec.encode(round_))
    return ModelCallFailed(
        round_.model,
        wellformed_value(dict(round_.error)),
        round_.duration,
        None if round_.message is None else codec.encode(round_.message),
    )


def is_failure(payload: Any) -> bool:
    """Return whether a payload of a round, as `recorded` makes it, is that of a failed call."""
    return isinstance(payload, dict) and "_type" not in payload and "error" in payload


def restored(payload: Any) -> Round:
    """Return the call of the model whose event has this payload. Raises CodecError."""
    if not is_failure(payload):
        return codec.decode(payload)
    message = payload.get("message")
    return FailedCall(
        payload["model"],
        payload["error"],
        payload.get("duration"),
        None if message is None else codec.decode(message),
    )
