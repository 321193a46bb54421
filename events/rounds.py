"""The order of a turn: each call of the model, then the outputs of the tools that it called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

T = TypeVar("T")


def in_order(rounds: Sequence[AIMessage], outputs: Iterable[T]) -> Iterator[AIMessage | T]:
    """Yield each round's message and then an output for each of its calls, as far as there are
    any; the outputs that remain come last."""
    left = iter(outputs)
    for message in rounds:
        yield message
        yield from islice(left, len(calls_of(message)))
    yield from left


def calls_of(message: Any) -> list[Any]:
    """Return a message's tool calls, those that cannot be run last."""
    return [*message.tool_calls, *message.invalid_tool_calls]
