"""Ends turns in the log: each gets an end there, with as much of it as can be kept."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import uuid
from collections import Counter
from collections.abc import Hashable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core import retrying
from ...core.asynchronous import in_database_thread, in_thread
from ...core.errors import TurnlogError, UnknownTurn
from ...events import runners
from ...events.waiting import open_turn
from .. import failures, live
from . import tasks
from .storable import storable
from .tasks import to_the_end

if TYPE_CHECKING:
    from ...events.models import Conversation
    from ...events.types import Outcome
    from .running_turn import RunningTurn

logger = logging.getLogger("turnlog")


async def close(conversation: Conversation, turn: RunningTurn, outcome: Outcome) -> None:
    """Close a turn with what can be kept of it. Never raises: what cannot be written now is written
    as soon as the log can be."""
    answer, outputs = turn.answer, turn.answer.tools_output_list
    parts = answer.partial_message(), outputs, answer.rounds
    kept: dict[str, Any] = {"ai_message": answer.text or None}
    try:
        kept = await to_the_end(lambda: in_thread(partial(storable, *parts)))
    except Exception as error:  # noqa: BLE001 - values of the project's own may raise anything
        logger.error("turn %s is kept without its parts: %s", turn.turn_id, failures.where(error))
    for less in _less_and_less(kept):
        fail = partial(
            conversation.afail_turn,
            turn.turn_id,
            outcome,
            error=turn.failure,
            metadata=answer.metadata,
            **less,
        )
        try:
            await to_the_end(fail)
            return
        except Exception as error:  # noqa: BLE001 - then with less, and at last later
            logger.error("turn %s could not be closed: %s", turn.turn_id, failures.where(error))
    close_later(conversation, turn.turn_id, turn.failure)


def _less_and_less(kept: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield kept
    message = kept["ai_message"]
    if message is not None:
        yield {"ai_message": message if isinstance(message, str) else str(message.text)}
    yield {}


Sent = tuple[Hashable, uuid.UUID]
"""A conversation's place, and a turn there. Clients choose the identifiers, so one alone may be two
people's."""


def sent_to(conversation: Conversation, turn_id: uuid.UUID) -> Sent:
    return live.place_of(conversation.pk), turn_id


_left: dict[Sent, tuple[Conversation, dict[str, str] | None, contextvars.Context]] = {}
"""Turns that may be open in the log, and that this process does not answer."""


def close_later(
    conversation: Conversation, turn_id: uuid.UUID, failure: dict[str, str] | None
) -> None:
    """Close a turn of this process in the log, once that is possible, if it is open there."""
    _left[sent_to(conversation, turn_id)] = (conversation, failure, contextvars.copy_context())
    tasks.spawn_once(_close_left)


def is_left(sent: Sent) -> bool:
    """Return whether a turn is to be closed later."""
    return sent in _left


def forget(sent: Sent) -> None:
    """Do not close a turn later: it is answered after all."""
    _left.pop(sent, None)


_taken: Counter[Sent] = Counter()


@contextlib.contextmanager
def taken(sent: Sent) -> Iterator[None]:
    """While a sending of a turn starts or answers it, it is not closed from here."""
    _taken[sent] += 1
    try:
        yield
    finally:
        _taken[sent] -= 1
        if not _taken[sent]:
            del _taken[sent]


async def _close_left() -> None:
    for pause in retrying.FOLLOWING.pauses():
        for sent, (conversation, failure, context) in list(_left.items()):
            if sent in _taken:
                continue
            try:
                closing = _close_if_ours(conversation, sent, failure)
                looked = asyncio.get_running_loop().create_task(closing, context=context)
                if not await looked:
                    continue  # It was taken meanwhile, and may be left open again.
            except Exception as error:  # noqa: BLE001 - it is tried again until it succeeds
                logger.warning("turn %s is still open: %s", sent[1], failures.where(error))
                if isinstance(error, TurnlogError):
                    forget(sent)
            else:
                forget(sent)
        if not _left:
            return
        await asyncio.sleep(pause)


@in_database_thread
def _close_if_ours(conversation: Conversation, sent: Sent, failure: dict[str, str] | None) -> bool:
    """Return whether that is settled: the turn is closed, or not this process's to close."""
    turn_id = sent[1]
    # Not a turn that was sent again meanwhile, and that another process answers, or this one.
    if not is_open_here(conversation.pk, turn_id):
        return True
    if sent in _taken:
        return False
    with contextlib.suppress(UnknownTurn):  # It never came into the log.
        conversation.fail_turn(turn_id, "failed", error=failure)
    return True


def is_open_here(stream_id: int, turn_id: uuid.UUID) -> bool:
    """Return whether a turn is open in the log, as one of this process."""
    opened = open_turn(stream_id)
    if opened is None or opened.turn_id != turn_id:
        return False
    return opened.runner == str(runners.beating())


is_open = in_database_thread(is_open_here)
