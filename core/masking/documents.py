"""Documents of the codec, and any other JSON, masked: texts, keys and numbers, at any depth.

A masked document is still one: its tags stay, and so do the fields of messages. What is stored as
base64 is withheld: nobody can say what is in it. What nests deeply is no danger, because nothing
here calls itself.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

from ..codec import encode
from ..codec.encoded import Encoded
from ..codec.strings import encode_text
from .arrays import items_of, printed
from .masker import Masker

WITHHELD = "[…]"
"""What stands for something that cannot be looked at."""

LARGEST = 1_000_000
"""Characters of JSON that are read to be masked; what is larger is withheld."""

_BASE64 = {"bytes", "bytearray", "numpy.bytes_"}
_SETS = {"set", "frozenset"}
# Their text has a form that a placeholder would break: then the placeholder takes their place.
_FORMED = {"Decimal", "UUID", "numpy.scalar"}
_BLOB = re.compile(r"(?:data:[^,]{1,200};base64,)?[A-Za-z0-9+/_-]{300,}+=*+\s*")

_MEDIA = ("image", "file", "audio", "video")
"""LangChain's content blocks that have base64."""

_Step = Callable[[], None]


def masked_text(text: str, masker: Masker) -> str | None:
    """Return a JSON text masked, and what is none as any text; None if it cannot be looked at."""
    if len(text) > LARGEST:
        return None
    try:
        return json.dumps(masked(json.loads(text), masker), ensure_ascii=False)
    except RecursionError:
        return None
    except ValueError:
        return masker.text(text)


def masked(document: Any, masker: Masker) -> Any:
    """Return a document with everything masked that it says; it shares no part with the first."""
    return _Walk(masker).of(document)


class _Walk:
    """One document's walk: steps that wait, instead of calls that nest."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._steps: list[_Step] = []

    def of(self, document: Any) -> Any:
        result: list[Any] = [None]
        self._put(document, result, 0)
        while self._steps:
            self._steps.pop()()
        return result[0]

    def _put(self, value: Any, into: Any, key: Any) -> None:
        """Put what is shown of a value into a place, now or in steps to come."""
        if type(value) is str:
            into[key] = self._text(value)
        elif type(value) in (int, float):
            into[key] = self._masker.number(value)
        elif type(value) is list:
            into[key] = self._list(value)
        elif type(value) is dict:
            tag = value.get("_type")
            if type(tag) is str and len(value) == 2 and "_value" in value:
                self._tagged(tag, value["_value"], into, key)
            else:
                into[key] = self._object(value)
        elif type(value) is Encoded:
            into[key] = self._encoded(value.text)
        else:
            into[key] = value if value is None or type(value) is bool else WITHHELD

    def _encoded(self, text: str) -> Any:
        try:
            return WITHHELD if len(text) > LARGEST else _Walk(self._masker).of(json.loads(text))
        except (ValueError, RecursionError):
            return WITHHELD

    def _text(self, text: str) -> str:
        if len(text) > 300 and _BLOB.fullmatch(text):
            return WITHHELD
        return self._masker.text(text)

    def _list(self, values: list[Any]) -> list[Any]:
        shown: list[Any] = [None] * len(values)
        self._later(zip(values, [shown] * len(values), range(len(values)), strict=True))
        return shown

    def _object(self, values: dict[Any, Any]) -> dict[Any, Any]:
        if values.get("type") in _MEDIA and "base64" in values:
            # However short: a picture of some letters needs no more.
            values = {**values, "base64": WITHHELD}
        shown: dict[Any, Any] = {}
        names = _Names()
        places = []
        for key, value in values.items():
            name = names.apart(self._text(key) if type(key) is str else WITHHELD)
            shown[name] = None
            places.append((value, shown, name))
        self._later(iter(places))
        return shown

    def _later(self, places: Iterator[tuple[Any, Any, Any]]) -> None:
        def step() -> None:
            for place in places:
                self._steps.append(step)
                self._put(*place)
                return

        self._steps.append(step)

    def _tagged(self, tag: str, body: Any, into: Any, key: Any) -> None:
        document: dict[str, Any] = {"_type": tag, "_value": None}
        into[key] = document
        if tag == "str" and type(body) is list and all(type(piece) is str for piece in body):
            into[key] = encode_text(self._text("".join(body)))
        elif tag in _BASE64:
            document["_value"] = ""
        elif tag == "PIL.Image":
            into[key] = WITHHELD
        elif tag == "numpy.ndarray" and type(body) is dict and "data" in body:
            self._array(body, document, into, key)
        elif tag == "pandas.array" and type(body) is dict and "mask" in body:
            self._nullable(body, document, into, key)
        elif tag in _FORMED:
            self._formed(body, document, into, key)
        elif tag in _SETS and type(body) is list:
            self._steps.append(lambda: _without_twins(document))
            self._put(body, document, "_value")
        elif tag == "dict" and type(body) is list:
            self._steps.append(lambda: _apart_pairs(document))
            self._put(body, document, "_value")
        elif type(body) is dict and type(body.get("content")) is list:
            document["_value"] = self._object({**body, "content": self._content(body["content"])})
        else:
            self._put(body, document, "_value")

    def _array(self, body: dict[str, Any], document: Any, into: Any, key: Any) -> None:
        try:
            items = items_of(body)
            shown = self._items(body, items)
        except (ValueError, TypeError, OverflowError):
            into[key] = WITHHELD
            return
        if shown is None or shown == items:
            document["_value"] = dict(body)
            return
        if body.get("order") != "C" and len(body["shape"]) > 1:
            into[key] = WITHHELD  # Its items would be in another order.
            return
        rest = {name: value for name, value in body.items() if name != "data"}
        document["_value"] = {**rest, "dtype": "|O", "items": encode(shown)}

    def _nullable(self, body: dict[str, Any], document: Any, into: Any, key: Any) -> None:
        """A column of numbers, some of them missing: with placeholders, it is one of objects."""
        try:
            values = body["values"]["_value"]
            items = items_of(values)
            shown = self._items(values, items)
            missing = body["mask"] and b64decode(body["mask"]["_value"]["data"], validate=True)
        except (ValueError, TypeError, OverflowError, KeyError):
            into[key] = WITHHELD
            return
        if shown is None or shown == items:
            document["_value"] = body
            return
        present = [
            None if missing and missing[n : n + 1] == b"\1" else item
            for n, item in enumerate(shown)
        ]
        array = {"dtype": "|O", "shape": [len(present)], "order": "C", "items": encode(present)}
        into[key] = {"_type": "numpy.ndarray", "_value": array}

    def _items(self, body: dict[str, Any], items: list[Any] | None) -> list[Any] | None:
        """Mask an array's items. Raises ValueError if its bytes as a whole say something."""
        shown = None
        if items is not None:
            shown = [self._text(x) if type(x) is str else self._masker.number(x) for x in items]
        if shown == items and (said := printed(body)) and self._masker.text(said) != said:
            raise ValueError("numbers that are a text")
        return shown

    def _formed(self, body: Any, document: Any, into: Any, key: Any) -> None:
        said = body.get("value") if type(body) is dict else body
        shown = [None]
        self._put(said, shown, 0)
        if type(said) in (str, int, float, bool, type(None)) and shown[0] != said:
            into[key] = shown[0]
        else:
            document["_value"] = body

    def _content(self, parts: list[Any]) -> list[Any]:
        """Return a message's parts with their texts masked as the one text that they are."""
        texts = [_text_of(part) for part in parts]
        whole = iter(self._masker.joined([text for text in texts if text is not None]))
        return [
            part if text is None else _with_text(part, next(whole))
            for part, text in zip(parts, texts, strict=True)
        ]


def _text_of(part: Any) -> str | None:
    if type(part) is dict and part.get("type") == "text":
        part = part.get("text")
    return part if type(part) is str else None


def _with_text(part: Any, text: str) -> Any:
    return text if type(part) is str else {**part, "text": text}


class _Names:
    """Names that differ, for spellings of a value that have the same placeholder."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def apart(self, name: str) -> str:
        """Return a name that is not taken yet."""
        found, number = name, self._taken.get(name, 1)
        while found in self._taken:
            number += 1
            found = f"{name} ({number})"
        self._taken[name] = number
        self._taken.setdefault(found, 1)
        return found


def _without_twins(document: dict[str, Any]) -> None:
    names = _Names()
    document["_value"] = [
        member
        for member in document["_value"]
        if type(member) is not str or names.apart(member) == member
    ]


def _apart_pairs(document: dict[str, Any]) -> None:
    names = _Names()
    for pair in document["_value"]:
        if type(pair) is list and pair and type(pair[0]) is str:
            pair[0] = names.apart(pair[0])
