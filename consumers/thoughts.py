"""What a model thinks, where its provider lets people see it, in one vocabulary.

Providers put it into a message's content, as blocks among those of the answer: Anthropic and Google
as `thinking`, OpenAI's Responses API as the `summary` of `reasoning`, servers of open models as its
`content`. DeepSeek and those that copy it have a text beside the content, `reasoning_content`. What
is encrypted, or withheld, is not for people.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

_BESIDE = "reasoning_content"


class Part(NamedTuple):
    """A part of a message, in its order: something thought, or something said."""

    thought: bool
    text: str


class Parts:
    """The parts of one message, from its chunks as they come, or from the whole."""

    def __init__(self) -> None:
        self._place: Hashable = None

    def of(self, message: Any) -> Iterator[Part]:
        """Yield the parts of the next chunk. A blank line parts what was thought apart."""
        for place, text in _beside(message.additional_kwargs):
            yield self._thought(place, text)
        blocks = message.content
        for block in [blocks] if isinstance(blocks, str) else blocks:
            if said := _said(block):
                self._place = None
                yield Part(False, said)
            elif isinstance(block, dict):
                for place, text in _thoughts(block):
                    yield self._thought(place, text)

    def _thought(self, place: Hashable, text: str) -> Part:
        apart = self._place is not None and self._place != place
        self._place = place
        return Part(True, "\n\n" * apart + text)


def has_thoughts(message: Any) -> bool:
    """Return whether people can see something that the model thought."""
    return any(part.thought for part in Parts().of(message))


def _said(block: Any) -> str:
    """Return what `message.text` takes from a block."""
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
    return text if isinstance(text, str) else ""


def _beside(kwargs: dict[str, Any]) -> Iterator[tuple[Hashable, str]]:
    text = kwargs.get(_BESIDE)
    if isinstance(text, str) and text:
        yield (_BESIDE, 0), text
    if isinstance(older := kwargs.get("reasoning"), dict):  # LangChain's form of before 1.0
        yield from _thoughts({**older, "type": "reasoning"})


def _thoughts(block: dict[str, Any]) -> Iterator[tuple[Hashable, str]]:
    kind, index = block.get("type"), block.get("index")
    if kind not in ("thinking", "reasoning"):
        return
    for name in ("thinking", "reasoning"):
        if isinstance(text := block.get(name), str) and text:
            yield (index, name), text
    for name in ("summary", "content"):
        parts = block.get(name)
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str) and text:
                yield (index, name, part.get("index", number)), text
