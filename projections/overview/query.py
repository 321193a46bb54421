"""The language of a list's query box: what a query means, and what is wrong with one.

One parser for the list, saved views and exports. Free text and `key:value`, all of which must hold;
`-` before one negates it; commas or bars between values mean "or"; double quotes hold words
together.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from ...core.errors import TurnlogError

MAX_QUERY = 1000
MOST_CONDITIONS, MOST_WORDS = 20, 10
"""Each word is looked for on its own, and each condition costs a part of a statement."""
STATES = ("failed", "stopped", "interrupted", "cleared", "erased", "held", "waiting")
THINGS = ("tool", "image", "note")
REVIEWS = ("none", "me")

_PART = re.compile(r'(-?)(?:([^\W\d]\w*):)?("[^"]*"|[^\s"]+)(?=\s|$)|(\S+)')
_COUNT = re.compile(r"(>=|<=|>|<|)(\d{1,15})|(\d{1,15})\.\.(\d{1,15})")


class QueryError(TurnlogError, ValueError):
    """A query that means nothing; the sentence is for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a conversation, or with `negated` must not.

    `values` are alternatives: texts; conversations' numbers and turns' ids; (lowest, highest) for
    `tokens` and (begin, end) for `created`, where None is open.
    """

    key: str
    values: tuple[Any, ...]
    negated: bool = False


def parse(text: str) -> list[Condition]:
    """Return the conditions of a query; free text has the key `text`. Raises QueryError."""
    if len(text) > MAX_QUERY:
        raise QueryError(
            _("Expected a query of at most %(most)d characters, found %(found)d.")
            % {"most": MAX_QUERY, "found": len(text)}
        )
    conditions = list(dict.fromkeys(_condition(*part) for part in _PART.findall(text)))
    words = sum(len(each.values) for each in conditions if each.key == "text")
    if len(conditions) > MOST_CONDITIONS or words > MOST_WORDS:
        raise QueryError(
            _("Expected at most %(most)d conditions and %(words)d words, found more.")
            % {"most": MOST_CONDITIONS, "words": MOST_WORDS}
        )
    return conditions


def _condition(sign: str, key: str, value: str, broken: str) -> Condition:
    if broken:
        raise QueryError(
            _("Expected a closing quotation mark and a space after it, near %(text)s.")
            % {"text": broken[:40]}
        )
    quoted = value.startswith('"')
    words = value.strip('"').strip()
    lacking = not key and not quoted and words.endswith(":") and words[:-1].lower() in _KEYS
    if lacking or not words.strip(",|"):
        found = words if lacking else f"{sign}{key}:" if key else f"{sign}{value}"
        raise QueryError(_("Expected a value after %(key)s, found none.") % {"key": found})
    if not key:
        return Condition("text", (words,), bool(sign))
    read = _KEYS.get(key.lower())
    if read is None:
        raise QueryError(
            _("Expected one of %(keys)s before the colon, found %(key)s.")
            % {"keys": ", ".join(_KEYS), "key": key}
            + " "
            + _("Put the words between double quotes to search for them.")
        )
    values = [words] if quoted else [each for each in re.split(r"[,|]", words) if each]
    return Condition(key.lower(), tuple(map(read, values)), bool(sign))


def _one_of(key: str, choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in choices:
            raise _unexpected(key, ", ".join(choices), value)
        return value.lower()

    return read


def _count(value: str) -> tuple[int | None, int | None]:
    found = _COUNT.fullmatch(value)
    if found is None:
        raise _unexpected("tokens", "100, >100, <=100, 100..200", value)
    sign, number, low, high = found.groups()
    if low:
        return int(low), int(high)
    bounds = {
        ">": (int(number) + 1, None),
        ">=": (int(number), None),
        "<": (None, int(number) - 1),
        "<=": (None, int(number)),
    }
    return bounds.get(sign, (int(number), int(number)))


def _days(value: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return when the first day begins and when the last one is over, in the current time zone."""
    first, dots, last = value.partition("..")
    begin, end = _day(first, value), _day(last if dots else first, value)
    if begin is None and end is None:
        raise _unexpected("created", "2026-11-01..2026-11-30", value)
    try:
        return begin, None if end is None else end + dt.timedelta(days=1)
    except OverflowError:
        return begin, None


def _day(text: str, value: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None or not 1 < day.year < 9999:  # In UTC, the day may be in another year.
        raise _unexpected("created", "2026-11-01..2026-11-30", value)
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def _id(value: str) -> int | uuid.UUID:
    if value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    try:
        return uuid.UUID(value)
    except ValueError:
        raise _unexpected("id", _("a conversation's number or a turn's id"), value) from None


def _unexpected(key: str, expected: str, found: str) -> QueryError:
    return QueryError(
        _("%(key)s: expected %(expected)s, found %(found)s.")
        % {"key": key, "expected": expected, "found": found[:40]}
    )


_KEYS: dict[str, Callable[[str], Any]] = {
    "user": str,
    "model": str,
    "tool": str,
    "type": str,
    "state": _one_of("state", STATES),
    "has": _one_of("has", THINGS),
    "reviewed": _one_of("reviewed", REVIEWS),
    "created": _days,
    "tokens": _count,
    "id": _id,
}
