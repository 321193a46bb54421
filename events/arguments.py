"""Checks the arguments of a turn before anything is written."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from ..core.errors import ArgumentError
from .rounds import FailedCall, Round
from .types import Outcome

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, HumanMessage

OUTCOMES = get_args(Outcome)


def human_message(given: str | HumanMessage, name: str = "human_message") -> HumanMessage:
    """Return a HumanMessage, built from text if text is given. Raises ArgumentError."""
    from langchain_core.messages import HumanMessage

    if isinstance(given, HumanMessage):
        return given
    if isinstance(given, str):
        return HumanMessage(given)
    raise ArgumentError(name, "text or a HumanMessage", given)


def ai_message(given: str | AIMessage, name: str = "ai_message") -> AIMessage:
    """Return an AIMessage, built from text if text is given. Raises ArgumentError."""
    from langchain_core.messages import AIMessage

    if isinstance(given, AIMessage):
        return given
    if isinstance(given, str):
        return AIMessage(given)
    raise ArgumentError(name, "text or an AIMessage", given)


def model_rounds(given: Sequence[Round] | None) -> Sequence[Round]:
    """Return what a turn's model calls gave. Raises ArgumentError."""
    if given is None:
        return ()
    from langchain_core.messages import AIMessage

    if not isinstance(given, list | tuple) or not all(
        isinstance(one, AIMessage | FailedCall) for one in given
    ):
        raise ArgumentError("rounds", "a list of AIMessages and FailedCalls, or None", given)
    return given


def require_turn_id(
    given: uuid.UUID | None, *, optional: bool = True, name: str = "turn_id"
) -> None:
    """Raise ArgumentError if the value is not a UUID."""
    if not (isinstance(given, uuid.UUID) or (optional and given is None)):
        raise ArgumentError(name, "a uuid.UUID" + " or None" * optional, given)


def require_user(given: Any, name: str = "user") -> None:
    """Raise ArgumentError if the value is not a Django user."""
    if given is not None and not hasattr(given, "is_authenticated"):
        raise ArgumentError(name, "a user of Django's, or None", given)


def require_metadata(given: Mapping[str, Any] | None) -> None:
    """Raise ArgumentError if the value is not a mapping with text keys."""
    if given is None:
        return
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ArgumentError("metadata", "a dictionary with text keys, or None", given)


def require_outcome(given: str) -> None:
    """Raise ArgumentError if no turn can have this outcome."""
    if given not in OUTCOMES:
        raise ArgumentError("outcome", f"one of {', '.join(map(repr, OUTCOMES))}", given)


def require_error(given: Mapping[str, str] | None) -> None:
    """Raise ArgumentError if `type` or `text` is missing, or anything in it is not text."""
    if given is None:
        return
    texts = isinstance(given, Mapping) and all(
        isinstance(part, str) for pair in given.items() for part in pair
    )
    if not texts or not {"type", "text"} <= given.keys():
        raise ArgumentError("error", "a dictionary of texts with 'type' and 'text', or None", given)


def require_text(given: str, name: str) -> None:
    """Raise ArgumentError if the value is not text."""
    if not isinstance(given, str):
        raise ArgumentError(name, "text", given)
