"""The error for a class that the codec does not store, with advice on what to give instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum

from .fault import Fault, type_name
from .libraries import library_of

_BUILT_IN = (int, float, dict, list, tuple, set, frozenset, bytes, bytearray)


def unknown_class(cls: type, advice: str = "") -> Fault:
    """The Fault for a value of class `cls`; `advice` replaces the advice derived from `cls`."""
    name = type_name(cls)
    return Fault(f"cannot store a value of type {name} exactly; {advice or _advice(cls)}", name)


def _advice(cls: type) -> str:
    if issubclass(cls, Enum) or dataclasses.is_dataclass(cls):
        return "allow the class with turnlog.core.codec.register"
    if issubclass(cls, str):
        # Not str(value), which may return the same object.
        return "give a plain str: str.__str__(value)"
    for plain in _BUILT_IN:
        if issubclass(cls, plain):
            return f"give a plain {plain.__name__}: {plain.__name__}(value)"
    if hasattr(cls, "model_dump"):
        return "give its fields: value.model_dump()"
    if issubclass(cls, Iterator):
        return "give its items: list(value)"
    modules = [base.__module__ for base in cls.__mro__]
    for library in map(library_of, modules):
        if library is not None and library.advice:
            return library.advice
    if any(module.partition(".")[0] in ("dateutil", "pytz") for module in modules):
        return "use zoneinfo.ZoneInfo or datetime.timezone"
    return "convert it to plain data (numbers, text, lists, dicts) before you record it"
