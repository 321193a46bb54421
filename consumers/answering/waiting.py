"""Lets a turn wait for a person: records what it has so far, and the calls to decide about."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from ...core.asynchronous import in_thread
from ...core.errors import CodecError
from ..mixins.agent import AgentMixin
from .running_turn import RunningTurn
from .storable import storable
from .tasks import to_the_end

logger = logging.getLogger("turnlog")


async def wait_for_person(chat: AgentMixin, turn: RunningTurn) -> None:
    """Record that a turn waits for decisions about the calls that are held.

    If the log cannot store a part of the turn, what can be stored is recorded.
    """
    conversation, answer = await chat.aget_conversation(), turn.answer
    if conversation is None:
        return
    calls = [
        {
            "number": number,
            "tool": call["name"],
            "tool_call_id": call["id"],
            "input": call["args"],
        }
        for number, call in answer.held
    ]
    ask = partial(conversation.arequest_approval, turn.turn_id, calls, metadata=answer.metadata)
    parts: tuple[Any, ...] = answer.partial_message(), answer.tools_output_list, answer.rounds
    names = ("ai_message", "tools_output_list", "rounds")
    try:
        await to_the_end(partial(ask, **dict(zip(names, parts, strict=True))))
    except CodecError as error:
        logger.warning("a part of turn %s cannot be stored: %s", turn.turn_id, error)
        kept = await to_the_end(lambda: in_thread(partial(storable, *parts)))
        await to_the_end(partial(ask, **kept))
    if turn.task is not None and turn.task.cancelling() and turn.stopped_as == "cancelled":
        # Somebody stopped it meanwhile. A server that stops leaves it waiting.
        await to_the_end(lambda: conversation.acancel_waiting(turn.turn_id))
