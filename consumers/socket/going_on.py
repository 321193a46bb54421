"""Goes on with a turn once its calls are decided: at once, or as soon as its person may have one
more answer under way."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from ..answering import tasks
from ..answering.closing import Sent
from . import limits

GoOn = Callable[[], Coroutine[Any, Any, None]]

_later: set[Sent] = set()
"""Turns that go on when there is room, one task for each however many pages show it."""


def go_on_soon(share: limits.Share, sent: Sent, go_on: GoOn) -> str:
    """Go on with a turn as a task of the process. Returns why that is not done at once, one
    sentence for the user; "" if it is."""
    try:
        _spawn(share, go_on)
    except limits.TooMany as error:
        if sent not in _later:
            with contextlib.ExitStack() as held:
                held.callback(_later.discard, sent)
                _later.add(sent)
                held.enter_context(share.waiting())
                # What ends from now on is noticed, also before the task begins.
                waiting = _when_there_is_room(share, go_on, limits.turn_ended())
                task = tasks.spawn(waiting, tasks.beside, contextvars.copy_context())
                kept = held.pop_all()
                task.add_done_callback(lambda task: kept.close())
        return str(error)
    return ""


def _spawn(share: limits.Share, go_on: GoOn) -> None:
    """Raises TooMany."""
    with contextlib.ExitStack() as held:
        held.enter_context(share.turn())
        task = tasks.spawn(go_on(), tasks.turns, contextvars.copy_context())
        kept = held.pop_all()
        task.add_done_callback(lambda task: kept.close())


async def _when_there_is_room(
    share: limits.Share, go_on: GoOn, ended: asyncio.Future[None]
) -> None:
    while True:
        await ended
        ended = limits.turn_ended()
        with contextlib.suppress(limits.TooMany):
            _spawn(share, go_on)
            return
