"""What to tell someone whose value the codec does not know."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum

from .fault import Fault, type_name

_BUILT_IN = (int, float, dict, list, tuple, set, frozenset, bytes, bytearray)


def unknown_class(cls: type) -> Fault:
    """The Fault for a value of a class that has no exact document."""
    name = type_name(cls)
    return Fault(f"cannot store a value of type {name} exactly; {_advice(cls)}", name)


def _advice(cls: type) -> str:
    if issubclass(cls, Enum) or dataclasses.is_dataclass(cls):
        return "allow the class with turnlog.core.codec.register"
    if issubclass(cls, str):
        return "give a plain one: str.__str__(value)"  # str(value) may give the same object back
    for plain in _BUILT_IN:
        if issubclass(cls, plain):
            return f"give a plain one: {plain.__name__}(value)"
    libraries = {base.__module__.partition(".")[0] for base in cls.__mro__}
    if hasattr(cls, "model_dump"):
        return "give its fields: value.model_dump()"
    if issubclass(cls, Iterator):
        return "give its items: list(value)"
    if libraries & {"numpy", "pandas"}:
        return "give a plain ndarray, Series or DataFrame: numpy.asarray(value)"
    if libraries & {"dateutil", "pytz"}:
        return "use zoneinfo.ZoneInfo or datetime.timezone"
    return "turn it into plain data (numbers, text, lists, dicts) before it is recorded"
