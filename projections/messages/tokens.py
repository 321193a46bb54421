"""How many tokens messages have, approximately: for all that keeps or leaves out turns by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core.attached import weight_of


def tokens_in(messages: Iterable[Any]) -> int:
    """Return how many tokens LangChain's messages have, approximately.

    Counted by LangChain's `count_tokens_approximately`, which would count a file's base64 as text.
    """
    from langchain_core.messages.utils import count_tokens_approximately

    return count_tokens_approximately(map(_weighed, messages))


def _weighed(message: Any) -> Any:
    if not isinstance(message.content, list):
        return message
    return message.model_copy(update={"content": list(map(weight_of, message.content))})
