"""The words in a message, and the form in which words are compared."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal

from ...core import codec
from ...core.errors import CodecError
from ..engine.storable import storable

Role = Literal["human", "ai"]

_ROLES: dict[str, Role] = {
    "HumanMessage": "human",
    "HumanMessageChunk": "human",
    "AIMessage": "ai",
    "AIMessageChunk": "ai",
}


def normalised(text: str) -> str:
    """Text as it is compared: case folded, in NFC, with single spaces between words.

    Two texts that are canonical caseless matches (Unicode 16, D145) become the same.
    """
    folded = unicodedata.normalize("NFD", storable(text)).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def role_of(document: Any) -> Role | None:
    """Who speaks in a message's document; None for neither a person nor a model."""
    tag = document.get("_type") if isinstance(document, dict) else None
    return _ROLES.get(tag) if isinstance(tag, str) else None


def text_of(document: Any) -> str:
    """The text of a message's document: its content, or the text parts of that, joined."""
    body = document.get("_value") if isinstance(document, dict) else None
    content = body.get("content") if isinstance(body, dict) else None
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_text_of_part, parts))


def _text_of_part(part: Any) -> str:
    try:
        value = codec.decode(part)
    except CodecError:
        return ""  # Of a class that is not registered here: no text.
    if isinstance(value, dict) and value.get("type") == "text":
        value = value.get("text")
    return str(value) if isinstance(value, str) else ""
