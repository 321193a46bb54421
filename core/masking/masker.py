"""What stands in the place of personal data: the same for the same value in one conversation."""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

from django.conf import settings
from django.utils.translation import pgettext_lazy

from .. import conf
from ..wording import text_of
from .finding import FinderFailed, find
from .found import Found
from .numbers import without_zero

_KINDS = {
    "email": pgettext_lazy("masked", "e-mail"),
    "phone": pgettext_lazy("masked", "phone"),
    "card": pgettext_lazy("masked", "card"),
    "rrn": pgettext_lazy("masked", "resident number"),
    "ip": pgettext_lazy("masked", "IP address"),
    "secret": pgettext_lazy("masked", "secret"),
    "text": pgettext_lazy("masked", "text"),
}
# Without digits, so that no code is taken for a number; without vowels, so that none is a word.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_LENGTH = 6
_SMALL = 1e9
"""No whole number below this is a telephone or a card."""


class Masker:
    """Masks what was said in one conversation.

    A code is a keyed hash of the value. The key follows from `SECRET_KEY`, the tenant and the
    conversation: so codes need no table, are the same on each page, tell nothing of a value to
    whoever guesses it, and differ between conversations.

    What reviewers write has codes of its own, by `purpose`: whoever notes a guess and sees it
    masked must not learn which of the conversation's values it is.
    """

    def __init__(self, conversation_id: int, purpose: str = "") -> None:
        where = f"turnlog.masking\n{conf.tenant()}\n{conversation_id}"
        if purpose:
            where += f"\n{purpose}"
        self._key = hmac.digest(_secret(), where.encode(), hashlib.sha256)

    def text(self, text: str) -> str:
        """Return a text with a placeholder for each value, such as `[phone hkrtbw]`."""
        return "".join(self._parts(text))

    def without(self, text: str) -> str:
        """Return a text without any personal data: what a search may look at."""
        return "".join(self._parts(text, gap="\ufffc"))

    def joined(self, pieces: Sequence[str]) -> list[str]:
        """Return pieces of one text, masked: a value may begin in one and end in another."""
        whole = "".join(pieces)
        masked, spans = [], self._found(whole)
        start = 0
        for piece in pieces:
            end = start + len(piece)
            masked.append("".join(self._of_piece(whole, spans, start, end)))
            start = end
        return masked

    def number(self, value: Any) -> Any:
        """Return a number, or its placeholder if all of it is personal: a card, a telephone."""
        small = abs(value) < _SMALL and not _has_own()
        if small or not abs(value) < 1e19 or value != int(value):
            return value
        digits = str(abs(int(value)))
        known = without_zero(digits)
        if known is not None and known[0] in conf.get().masked_kinds:
            return self.label(Found(0, len(digits), *known))
        return value if self.text(digits) == digits else self.text(digits)

    def cell(self, value: Any) -> Any:
        """Return a table's cell: a number as `number` does, anything else as its masked text."""
        if isinstance(value, Real) and not isinstance(value, bool):
            # NumPy calls its spans of time numbers, and does not compare them with any.
            with suppress(TypeError, ValueError):
                return self.number(value)
        return self.text(text_of(value))

    def places(self, text: str, places: Sequence[int]) -> list[int]:
        """Return where places in a text are once it is masked; one within a value is behind it."""
        moved = [0] * len(places)
        spans = self._found(text)
        shift, at = 0, 0
        for number in sorted(range(len(places)), key=places.__getitem__):
            place = places[number]
            while at < len(spans) and spans[at].start < place:
                shift += len(self.label(spans[at])) - (spans[at].end - spans[at].start)
                at += 1
            end = spans[at - 1].end if at else 0
            moved[number] = max(place, end) + shift
        return moved

    def label(self, found: Found) -> str:
        """Return the placeholder of a value."""
        kind = _KINDS.get(found.kind, found.kind)
        said = f"{found.kind}\n{found.value}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hmac.digest(self._key, said, hashlib.sha256))
        code = ""
        for _ in range(_LENGTH):
            number, letter = divmod(number, len(_LETTERS))
            code += _LETTERS[letter]
        return f"[{kind} {code}]"

    def _found(self, text: str) -> list[Found]:
        try:
            return find(text)
        except FinderFailed:
            # What was not looked at may hold anything.
            return [Found(0, len(text), "text", text)] if text else []

    def _parts(self, text: str, gap: str | None = None) -> Iterator[str]:
        place = 0
        for found in self._found(text):
            yield text[place : found.start]
            yield self.label(found) if gap is None else gap
            place = found.end
        yield text[place:]

    def _of_piece(self, text: str, spans: list[Found], start: int, end: int) -> Iterator[str]:
        place = start
        at = bisect_right(spans, start, key=lambda found: found.end)
        while at < len(spans) and (found := spans[at]).start < end:
            at += 1
            yield text[place : max(place, found.start)]
            if found.start >= start:
                yield self.label(found)
            place = min(found.end, end)
        yield text[place:end]


def masker_for(conversation_id: int, purpose: str = "") -> Masker | None:
    """Return what masks a conversation; None if the settings say that nothing is masked."""
    return Masker(conversation_id, purpose) if conf.get().masked_kinds or _has_own() else None


def _has_own() -> bool:
    """Return whether the project looks for anything itself."""
    settings = conf.get()
    return bool(settings.masked_patterns or settings.find_personal_data)


def _secret() -> bytes:
    key: Any = settings.SECRET_KEY
    return key if isinstance(key, bytes) else str(key).encode()
