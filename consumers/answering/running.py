"""Turns that are being answered in this process.

A running turn is a task of the process, not of a connection: leaving the page does not cancel
it, and a new connection finds it by its conversation and follows it from where it is.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Hashable, Sequence
from functools import partial

from ...core.asynchronous import by_heart
from ...events import runners
from ...events.models import Event
from ...events.types import RUNNING_TYPES
from .. import failures, live
from . import tasks
from .drafting import keep_drafts
from .relay import relay
from .running_turn import RunningTurn

logger = logging.getLogger("turnlog")

_turns: dict[Hashable, RunningTurn] = {}


def find(key: Hashable) -> RunningTurn | None:
    """Return the turn that this process is answering in a conversation, if any."""
    return _turns.get(key)


def count() -> int:
    """Return how many turns this process is answering."""
    return len(_turns)


def stop_hidden(key: Hashable, cleared: int) -> None:
    """Stop a turn that was cleared while it ran: no page shows it, and it blocks the next one."""
    turn = _turns.get(key)
    if turn is not None and turn.version < cleared:
        turn.stop()


def enter(turn: RunningTurn) -> None:
    """Let listeners find the turn. Call this only after the human's words are committed."""
    turn.task = asyncio.current_task()
    _turns[turn.key] = turn
    tasks.spawn_once(_beat)
    if turn.recorded:
        tasks.spawn(keep_drafts(turn), tasks.beside, contextvars.copy_context())
        if live.shared_layer():
            turn.relay = tasks.spawn(relay(turn), tasks.beside)
    # If the turn is in the log, listeners already have its first batch.
    live.wake(turn.key, log_changed=not turn.recorded)


def leave(turn: RunningTurn) -> None:
    """Remove the turn; its end is in the log."""
    turn.ended = True
    turn.over.set()
    if _turns.get(turn.key) is turn:
        del _turns[turn.key]
    if turn.relay is not None:
        turn.relay.cancel()
    live.wake(turn.key, log_changed=not turn.in_log)


def note_end(events: Sequence[Event]) -> None:
    """Receiver of the log's after_commit: a turn of this process has ended or was cleared."""
    last = events[-1]
    turn = _turns.get(live.place_of(last.stream_id))
    if turn is not None and last.turn_id == turn.turn_id:
        turn.in_log = last.type not in RUNNING_TYPES
    elif turn and last.type == "ConversationCleared" and turn.version < last.version:
        turn.stop_soon()


async def drain(seconds: float) -> None:
    """Let running turns finish, for at most `seconds`; then record them as interrupted."""
    if tasks.turns:
        await asyncio.wait(list(tasks.turns), timeout=seconds)
    for turn in list(_turns.values()):
        turn.stop("interrupted")
    if tasks.turns:
        await asyncio.wait(list(tasks.turns), timeout=5)


async def _beat() -> None:
    """Show other processes that this one is alive, while it has turns."""
    while True:
        await asyncio.sleep(runners.heartbeat_seconds())  # The turn's start has just beaten.
        if not _turns:
            return
        try:
            # Not by the threads that turns wait for: they may all be held by a lock. Where each
            # tenant has tables of its own, each has this process's row.
            contexts = {live.tenant_of(key): turn.context for key, turn in _turns.items()}
            for context in contexts.values():
                await by_heart(partial(context.run, runners.beat))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next beat comes
            logger.warning("no heartbeat: %s", failures.where(error))
