"""Enum and dataclass classes of your own: only those that you allow with `register`.

| value | `_type` | `_value` |
|---|---|---|
| Enum member | `enum` | `{"class": name, "member": "RED"}` |
| combination of Flag members | `enum` | `{"class": name, "flags": 3}` |
| dataclass instance | `dataclass` | `{"class": name, "fields": {...}}` |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, TypeVar, overload

from ..errors import CodecError
from .dispatch import DECODERS, ENCODERS, dec, enc
from .fault import Fault, expect, expect_keys, type_name
from .strings import survives_json

_Class = TypeVar("_Class", bound=type)

_MOST_FLAGS = 10_000

_BY_NAME: dict[str, type] = {}


@overload
def register(cls: _Class, *, name: str | None = None) -> _Class: ...
@overload
def register(cls: None = None, *, name: str | None = None) -> Callable[[_Class], _Class]: ...


def register(cls: Any = None, *, name: str | None = None) -> Any:
    """Allow an Enum or dataclass class to be stored and read. Also a decorator.

    Documents hold `name` (default `module.qualname`). The codec looks it up among the registered
    names and never imports it, so choose a name that stays valid when you move the class. A class
    may have several names: the codec writes the first and reads all of them.

    An Enum member is stored by its name, a combination of flags by its number. A dataclass is
    stored and restored field by field, without `__init__` and `__post_init__`. If a document lacks
    a field, the field takes its default. Attributes that are not fields are not stored.

    Raises `CodecError` if the name belongs to another class, or if the class is neither an Enum nor
    a dataclass that its fields restore.
    """
    if cls is None:
        return lambda decorated: register(decorated, name=name)
    if not isinstance(cls, type):
        raise CodecError(f"register takes a class, not {cls!r:.80}")
    name = f"{cls.__module__}.{cls.__qualname__}" if name is None else name
    if type(name) is not str or not survives_json(name):
        raise CodecError("a registered name must be text", type_name=type_name(cls))
    holder = _BY_NAME.get(name, cls)
    if holder is not cls:
        raise CodecError(
            f"the name {name!r} is already registered for another class; give this class another"
            " name: register(name=...)",
            type_name=type_name(cls),
        )
    encoder = _encoder(cls, name)
    _BY_NAME[name] = cls
    ENCODERS.setdefault(cls, encoder)
    return cls


def _encoder(cls: type, name: str) -> Callable[[Any, int], Any]:
    if issubclass(cls, Enum):
        return lambda value, depth: _encode_enum(value, name)
    if not dataclasses.is_dataclass(cls):
        raise CodecError(
            f"cannot register {type_name(cls)}: it is neither an Enum nor a dataclass",
            type_name=type_name(cls),
        )
    try:
        object.__new__(cls)
    except TypeError as exc:
        # An abstract class, or one derived from a built-in (an exception, a str) with more state.
        raise CodecError(
            f"cannot register {type_name(cls)}: it cannot be restored from its fields alone"
            f" ({exc})",
            type_name=type_name(cls),
        ) from exc
    fields = tuple(field.name for field in dataclasses.fields(cls))
    return lambda value, depth: _encode_dataclass(value, name, fields, depth + 1)


def _encode_enum(value: Enum, name: str) -> Any:
    member = value._name_
    if member is not None and type(value).__members__.get(member) is value:
        return {"_type": "enum", "_value": {"class": name, "member": member}}
    # Only a combination of flags is not a member.
    return {"_type": "enum", "_value": {"class": name, "flags": enc(value._value_, 0)}}


def _decode_enum(body: Any, depth: int) -> Enum:
    key = "flags" if type(body) is dict and "flags" in body else "member"
    expect_keys(body, ("class", key))
    cls: type[Enum] = _registered(body["class"], Enum)
    if key == "member":
        member = cls.__members__.get(expect(body["member"], str, "member"))
    else:
        number = expect(dec(body["flags"], depth), int, "flags")
        if number.bit_length() > _MOST_FLAGS:
            # Enum looks at each bit, and copies the number each time.
            raise Fault(f"a combination of flags may have {_MOST_FLAGS} bits at most")
        member = cls(number) if issubclass(cls, Flag) else None
    if not isinstance(member, cls):
        raise Fault(f"{body['class']} does not have this member, or no longer", body["class"])
    return member


def _encode_dataclass(value: Any, name: str, fields: tuple[str, ...], depth: int) -> Any:
    documents = {}
    for field in fields:
        try:
            documents[field] = enc(getattr(value, field), depth)
        except AttributeError:
            raise Fault(f"this {name} has no value for the field", name).at_key(field) from None
        except Fault as fault:
            fault.at_key(field)
            raise
    return {"_type": "dataclass", "_value": {"class": name, "fields": documents}}


def _decode_dataclass(body: Any, depth: int) -> Any:
    expect_keys(body, ("class", "fields"))
    name = body["class"]
    cls = _registered(name, object)
    documents = dict(expect(body["fields"], dict, "fields"))
    if issubclass(cls, Enum):
        raise Fault(f"{name} is an Enum, not a dataclass", name)
    # Neither cls.__new__ nor __init__ runs: stored data must not run code, nor be changed by it.
    value = object.__new__(cls)
    for field in dataclasses.fields(cls):
        if field.name in documents:
            try:
                item = dec(documents.pop(field.name), depth + 1)
            except Fault as fault:
                fault.at_key(field.name)
                raise
        elif field.default is not dataclasses.MISSING:
            item = field.default
        elif field.default_factory is not dataclasses.MISSING:
            item = field.default_factory()
        else:
            raise Fault(f"{name} needs the field {field.name}, which the document lacks", name)
        object.__setattr__(value, field.name, item)
    if documents:
        raise Fault(f"{name} has no field {min(documents)!r:.80}", name)
    return value


def _registered(name: Any, kind: type) -> Any:
    cls = _BY_NAME.get(expect(name, str, "class"))
    if cls is None or not issubclass(cls, kind):
        kinds = "Enum" if kind is Enum else "class"
        raise Fault(
            f"no {kinds} is registered as {name!r:.80}; call turnlog.core.codec.register on the"
            " class when the app starts",
            name,
        )
    return cls


DECODERS["enum"] = _decode_enum
DECODERS["dataclass"] = _decode_dataclass
