"""The words in a message, and the form in which searches compare them."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal

from ...core import codec
from ...core.attached import attached
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
    """Return the form in which a text is compared: case folded, NFC, single spaces between words.

    Two texts that are canonical caseless matches (Unicode 16, D145) get the same form.
    """
    folded = unicodedata.normalize("NFD", storable(text)).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def role_of(document: Any) -> Role | None:
    """Return the role that speaks in a message's document; None if it is neither of the two."""
    tag = document.get("_type") if isinstance(document, dict) else None
    return _ROLES.get(tag) if isinstance(tag, str) else None


def text_of(document: Any) -> str:
    """Return the text of a message's document: its content, or the content's text parts, joined.

    Below it are the names of the pictures and files that were sent with it.
    """
    body = document.get("_value") if isinstance(document, dict) else None
    if not isinstance(body, dict):
        return ""
    content, kwargs = body.get("content"), body.get("additional_kwargs")
    parts = content if isinstance(content, list) else [content]
    text = "".join(map(_text_of_part, parts))
    names = [each.name for each in attached(content, kwargs) if each.name]
    return "\n".join(filter(None, [text, *names]))


def _text_of_part(part: Any) -> str:
    try:
        value = codec.decode(part)
    except CodecError:
        return ""  # Its class is not registered here: no text.
    if isinstance(value, dict) and value.get("type") == "text":
        value = value.get("text")
    return str(value) if isinstance(value, str) else ""
