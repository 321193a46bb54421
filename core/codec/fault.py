"""The codec's internal exception, which becomes a `CodecError`, and the checks that raise it."""

from __future__ import annotations

import json
from typing import Any

from ..errors import CodecError

_SHOWN = 60  # characters of one path step or of one type name in a message
_ENDS = 10  # steps shown of either end of a long path


class Fault(Exception):
    """A `CodecError` that does not know its path yet.

    Each container adds its step while the exception passes, so that a path costs nothing as long as
    nothing fails.
    """

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.type_name = type_name
        self.steps: list[str] = []

    def at_index(self, index: int) -> Fault:
        """Add the step `[3]`, and return this Fault so that you can raise it."""
        self.steps.append(f"[{index}]")
        return self

    def at_key(self, key: Any) -> Fault:
        """Add the step `.key`, or `["a key"]` if the key is not an identifier."""
        self.steps.append(_key_step(key))
        return self

    def error(self) -> CodecError:
        """The public exception, with the path from the root (`$`)."""
        steps = self.steps[::-1]
        path = "$" + "".join(steps)
        if len(steps) > 2 * _ENDS:
            shown = "$" + "".join([*steps[:_ENDS], " ... ", *steps[-_ENDS:]])
        else:
            shown = path
        return CodecError(f"{self.message} (at {shown})", path=path, type_name=self.type_name)


def _key_step(key: Any) -> str:
    if type(key) is str:
        if key.isidentifier():
            return f".{key}"
        text = json.dumps(key if len(key) <= _SHOWN else key[:_SHOWN] + "...")
    elif isinstance(key, float | bool) or key is None:
        text = str(key)
    elif isinstance(key, int) and key.bit_length() <= 4 * _SHOWN:
        text = int.__repr__(key)[:_SHOWN]
    else:
        # Not repr(): it may run any code, fail, or return a page of text.
        text = f"<{type_name(type(key))}>"
    return f"[{text}]"


def type_name(cls: type) -> str:
    """The name of a class with its module: `int`, `decimal.Decimal`, `shop.models.Colour`."""
    name = cls.__qualname__
    if cls.__module__ != "builtins":
        name = f"{cls.__module__}.{name}"
    return name if len(name) <= 2 * _SHOWN else name[: 2 * _SHOWN] + "..."


def expect(value: Any, cls: type | tuple[type, ...], what: str) -> Any:
    """`value`, if its type is exactly one of `cls`: a bool is not an int. Raises Fault if not."""
    classes = cls if isinstance(cls, tuple) else (cls,)
    if type(value) not in classes:
        wanted = " or ".join(type_name(one) for one in classes)
        raise Fault(f"{what} must be {wanted}, not {type_name(type(value))}")
    return value


def expect_keys(
    body: Any, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`body`, if it is an object with these keys and no others. Raises Fault if not."""
    found: dict[str, Any] = expect(body, dict, "the value")
    missing = [key for key in required if key not in found]
    if missing:
        raise Fault(f"the value lacks {', '.join(missing)}")
    if len(found) > len(required):
        surplus = [key for key in found if key not in required and key not in optional]
        if surplus:
            known = ", ".join(required + optional)
            raise Fault(f"the value has unknown keys; the known ones are {known}")
    return found
