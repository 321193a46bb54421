"""How a model's answer ended: what its provider says of it, in one vocabulary.

Providers name the reason in the message's `response_metadata`: OpenAI's Chat Completions as
`finish_reason`, its Responses API as `status` and `incomplete_details`, Anthropic as `stop_reason`,
Ollama as `done_reason`, and those that copy one of them likewise. The words are those of their API
references.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..core.errors import ModelError
from ..events.rounds import calls_of


class Ending(Enum):
    """How one call of a model ended. The value is the `kind` of a failure that comes of it."""

    WHOLE = "whole"
    PAUSED = "paused"
    """The provider wants to be called again, with this message, to go on."""
    LENGTH = "length"
    FILTERED = "filtered"
    DECLINED = "declined"
    EMPTY = "empty"
    FAILED = "unavailable"
    TRUNCATED = "truncated"


class NoAnswer(ModelError):
    """The model's call ended in another way than with an answer; `kind` says how."""

    def __init__(self, ending: Ending, reason: str = "") -> None:
        said = f" (the provider says: {reason[:100]})" if reason else ""
        super().__init__(_WHY[ending] + said)
        self.kind = ending.value


_WHY = {
    Ending.LENGTH: "the model reached its limit of tokens before it answered",
    Ending.FILTERED: "the provider's filter withheld the answer",
    Ending.DECLINED: "the model declined to answer",
    Ending.EMPTY: "the model ended without an answer",
    Ending.FAILED: "the provider reports an error instead of an answer",
    Ending.TRUNCATED: "the connection to the model was cut in the middle of its answer",
}

_ENDINGS = {
    Ending.LENGTH: (
        *("length", "max_tokens", "max_output_tokens", "model_length"),
        *("model_context_window_exceeded", "max_completion_tokens", "token_limit", "incomplete"),
    ),
    Ending.FILTERED: (
        *("content_filter", "content_filtered", "guardrail_intervened", "safety", "recitation"),
        *("prohibited_content", "blocklist", "spii", "image_safety", "language"),
    ),
    Ending.DECLINED: ("refusal", "refused"),
    Ending.PAUSED: ("pause_turn",),
    Ending.TRUNCATED: ("cancelled", "in_progress", "queued"),
    Ending.FAILED: (
        *("error", "failed", "malformed_function_call", "unexpected_tool_call"),
        "insufficient_system_resource",
    ),
}
_BY_REASON = {reason: ending for ending, reasons in _ENDINGS.items() for reason in reasons}
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
# These say of every whole answer why it ended, so one without a reason was cut off.
_ALWAYS_SAY = ("openai", "anthropic")
_SHOWN = (
    *("image", "image_url", "image_generation_call", "output_image"),
    *("audio", "input_audio", "video", "file"),
)


def ending_of(message: Any, *, finished: bool = False) -> Ending:
    """Return how a call of a model ended, from the message that it gave.

    `finished` says that its server has told so itself, if not by a reason. A reason that is not
    known counts as whole: it came with the end of an answer.
    """
    metadata = message.response_metadata
    reason = reason_of(metadata)
    if not reason and not finished and metadata.get("model_provider") in _ALWAYS_SAY:
        return Ending.TRUNCATED
    ending = _BY_REASON.get(reason, Ending.WHOLE)
    if ending is Ending.WHOLE and not calls_of(message) and not has_content(message):
        return Ending.DECLINED if refusal_of(message) else Ending.EMPTY
    return ending


def reason_of(metadata: Mapping[str, Any]) -> str:
    """Return the provider's reason for the end, in lower case; empty if it gave none."""
    details = metadata.get("incomplete_details")
    if isinstance(details, Mapping) and isinstance(details.get("reason"), str):
        return str(details["reason"]).lower()
    for name in _REASONS:
        value = metadata.get(name)
        value = getattr(value, "name", value)
        if isinstance(value, str) and value:
            return value.rpartition(".")[2].lower()
    return ""


def refusal_of(message: Any) -> str:
    """Return the words with which a model declined, if it gave them apart from an answer."""
    said = message.additional_kwargs.get("refusal")
    if isinstance(said, str) and said:
        return said
    blocks = message.content if isinstance(message.content, list) else ()
    found = [block.get("refusal") for block in blocks if isinstance(block, dict)]
    return "".join(text for text in found if isinstance(text, str))


def has_content(message: Any) -> bool:
    """Return whether a message holds words, or a picture, sound or file."""
    if str(message.text).strip():
        return True
    blocks = message.content if isinstance(message.content, list) else ()
    return any(isinstance(block, dict) and block.get("type") in _SHOWN for block in blocks)


def is_cut(message: Any) -> bool:
    """Return whether an answer that is kept ended at a limit of tokens."""
    metadata = getattr(message, "response_metadata", None) or {}
    return _BY_REASON.get(reason_of(metadata)) is Ending.LENGTH
