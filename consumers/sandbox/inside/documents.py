"""Values as JSON, bounded: what the server gets to see of a result.

None, booleans, numbers and texts stand for themselves, a list is an array. A dictionary is
`{"dict": [[key, value], ...]}`, a float that JSON does not have `{"float": "nan"}`, a DataFrame
`{"table": ...}` and a Series `{"series": ...}` (see `tables`). Times are texts. Any other object is
the text that `repr` gives.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

LONGEST_NUMBER = 10**1000
"""Integers from here on are texts: Python reads no number with thousands of digits."""


class Writer:
    """Writes documents until the bounds are reached; `is_cut` says whether something is left out.

    `items` bounds the values of all lists and dictionaries together, `letters` a text, `depth` how
    deep they may nest.
    """

    def __init__(self, items: int, letters: int, depth: int = 16) -> None:
        self.items, self.letters, self.depth = items, letters, depth
        self.is_cut = False

    def document(self, value: Any, depth: int = 0) -> Any:
        """Return the document of a value."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return int(value) if abs(value) < LONGEST_NUMBER else self.text(_digits(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, datetime.date | datetime.time):
            return self.text(wording(value, lambda time: time.isoformat()))
        if isinstance(value, decimal.Decimal | datetime.timedelta) or _is_label(value):
            return self.text(wording(value))
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
            kind = _kind(value)
            if kind in ("m", "M"):
                return self._moment(value)
            if kind == "f":
                return self.document(float(value))  # A long one has no other `item` than itself.
            return self.document(_or_text(value.item(), type(value)), depth)
        if depth < self.depth:
            if isinstance(value, Mapping):
                return {"dict": [self._pair(pair, depth) for pair in self._some(value.items())]}
            if isinstance(value, list | tuple | set | frozenset):
                return [self.document(each, depth + 1) for each in self._some(value)]
            if hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0:
                # An array or an index: not all of it becomes a list that is then thrown away.
                self.is_cut |= len(value) > self.items
                if _kind(value) in ("m", "M"):
                    # One by one: `tolist` makes plain numbers of nanoseconds.
                    return self.document(list(value[: self.items]), depth)
                return self.document(_or_text(value[: self.items].tolist(), type(value)), depth)
        return self.text(wording(value, repr))

    def text(self, text: str) -> str:
        """Return a text, cut where it is too long."""
        self.is_cut |= len(text) > self.letters
        return str(text[: self.letters])

    def _moment(self, value: Any) -> Any:
        """Return a datetime64 or timedelta64 as the text of what Python calls the same."""
        if value != value:  # NaT
            return None
        if value.dtype.str.endswith("[ns]"):
            short = value.astype(f"{value.dtype.kind}8[us]")
            value = short if short == value else value
        plain = value.item()
        return self.text(str(value)) if isinstance(plain, int) else self.document(plain)

    def _pair(self, pair: tuple[Any, Any], depth: int) -> list[Any]:
        key, value = pair
        # A key has to be hashable where it is read: a tuple is a text.
        plain = key is None or isinstance(key, bool | int | float | str) or hasattr(key, "item")
        return [
            self.document(key if plain else wording(key), self.depth),
            self.document(value, depth + 1),
        ]

    def _some(self, values: Iterable[Any]) -> Iterable[Any]:
        for value in values:
            if self.items <= 0:
                self.is_cut = True
                return
            self.items -= 1
            yield value


def wording(value: Any, write: Callable[[Any], str] = str) -> str:
    """Return a value as text; where that raises, a text that stands for it: of a Timestamp that
    its time zone moves past the year 9999, the moment in UTC."""
    try:
        return write(value)
    except Exception:  # noqa: BLE001 - any class may be in a result
        return f"{value.asm8}Z" if hasattr(value, "asm8") else f"<{type(value).__name__}>"


def _is_label(value: Any) -> bool:
    """Return whether a value is one of pandas' that label groups, and read best as `str` has
    them."""
    kind = type(value)
    return kind.__module__.startswith("pandas") and kind.__name__ in ("Period", "Interval")


def _kind(value: Any) -> str:
    return str(getattr(getattr(value, "dtype", None), "kind", ""))


def _or_text(value: Any, never: type[Any]) -> Any:
    """Return what an array's `item` or `tolist` gave, unless that is an array again."""
    return repr(value) if isinstance(value, never) else value


def _digits(value: int) -> str:
    return f"an integer of {value.bit_length()} bits"
