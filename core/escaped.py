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
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                raise
            raise Escaped(type(error).__name__) from error

    return contained
