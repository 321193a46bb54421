"""Keeps what a running turn has produced where it outlives this process."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from ...core.asynchronous import in_database_thread
from ...core.errors import CodecError
from ...events import drafts
from .. import failures, live
from .tasks import to_the_end

if TYPE_CHECKING:
    from .running_turn import RunningTurn

logger = logging.getLogger("turnlog")

INTERVAL_SECONDS = 1.0

_keep = in_database_thread(drafts.keep)
_drop = in_database_thread(drafts.drop)


async def keep_drafts(turn: RunningTurn) -> None:
    """Run beside a turn that is recorded in a conversation, until it has ended.

    Short turns write nothing. Each part holds only what is new, and the drafts are dropped once the
    turn's end is in the log.
    """
    answer, stream_id = turn.answer, live.stream_of(cast(live.Place, turn.key))
    tries, text, tools, rounds = 0, 0, 0, 0
    while not await _ended(turn):
        parts = (answer.text[text:], [*answer.outputs.values()][tools:], answer.rounds[rounds:])
        if not any(parts):
            continue
        tries += 1  # Also if it fails: the row may be there, and only the reply lost.
        try:
            try:
                await _keep(stream_id, turn.turn_id, tries, *parts)
            except CodecError:
                await _keep(stream_id, turn.turn_id, tries, parts[0])
        except Exception as error:  # noqa: BLE001 - the turn itself does not depend on it
            logger.warning("a draft could not be kept: %s", failures.where(error))
            continue
        text, tools, rounds = (
            text + len(parts[0]),
            tools + len(parts[1]),
            rounds + len(parts[2]),
        )
    if tries:
        await to_the_end(lambda: _drop([turn.turn_id]))


async def _ended(turn: RunningTurn) -> bool:
    """Wait a moment, or until the turn has ended; return whether it has."""
    try:
        async with asyncio.timeout(INTERVAL_SECONDS):
            await turn.over.wait()
    except TimeoutError:
        return False
    return True
