"""Errors that end more than what raised them, made into ones that do not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Escaped(Exception):
    """Code raised what would have ended more than itself; the cause is what it raised.

    `SystemExit` and `KeyboardInterrupt` end the event loop, with everybody's answers. A
    `CancelledError` of its own looks as if somebody had stopped the turn.
    """


def origin_of(error: BaseException) -> BaseException:
    """Return what code raised: the cause of an `Escaped`, any other error itself."""
    return error.__cause__ or error if type(error) is Escaped else error


def name_of(error: BaseException) -> str:
    """Return the name of an error's class, whatever that class makes of its name."""
    name: str = vars(type)["__name__"].__get__(type(error))
    return str.__getitem__(name, slice(_LONGEST_NAME))


_LONGEST_NAME = 200


def contained_in_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose errors a future can carry from its thread to whoever awaits it.

    It takes no StopIteration: nobody would be woken. A GeneratorExit closes each coroutine on its
    way, and none of them can handle it.
    """

    @functools.wraps(function)
    def contained(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            # By the type: `isinstance` asks the error itself, too, which may raise again.
            if issubclass(type(error), Exception) and not issubclass(type(error), StopIteration):
                raise
            raise Escaped(name_of(error)) from error

    return contained
