"""The sandbox for async code, and for what ends it."""

from __future__ import annotations

import asyncio
import atexit
import functools
from collections.abc import Hashable

from ...core.asynchronous import in_thread, in_waiting_thread
from .outcome import Outcome, Table
from .places import Place, Places
from .seats import Call
from .standing import Tier

_places = Places()
atexit.register(_places.end_all)


async def run(place: Place, code: str, *, table: Table | None, seconds: float) -> Outcome:
    """Run code in the worker of a place, for at most so many seconds.

    `place` is the conversation's place (`live.place_of`) and the person who owns the worker. The
    code has `table` as `df`, and `pd`, `np`, `plt` and, if it is installed, `sns`. If this call is
    cancelled, the code is killed. What the code does wrong is in the outcome. Raises SandboxRefused
    if no code can run.
    """
    call = Call()
    try:
        return await in_waiting_thread(_places.run)(place, code, table, seconds, call)
    except asyncio.CancelledError:
        call.stop()
        raise


async def end(place: Place) -> None:
    """End the worker of a conversation and a person, with its variables and files."""
    await in_thread(functools.partial(_places.end, place))


def end_conversation(conversation: Hashable) -> None:
    """End all workers of a conversation, whoever owns them: after an erasure, for example.

    `conversation` is the first half of their places.
    """
    _places.end_conversation(conversation)


def places() -> frozenset[Place]:
    """Return the places that have a worker in this process, or are getting one."""
    return _places.taken()


def end_all() -> None:
    """End every worker of this process."""
    _places.end_all()


def tier() -> Tier | None:
    """Return how this process's workers are started; None as long as none has been."""
    return _places.tier
