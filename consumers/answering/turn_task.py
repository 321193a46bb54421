"""Takes one turn from the person's words to the log: start, answer, then record or close."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from ...core import conf
from ...core.asynchronous import in_database_thread
from ...core.errors import TurnInProgress
from ...events.models import Actor
from ...events.turns import open_turn
from .. import failures
from ..mixins.agent import AgentMixin, CurrentTurn, Setup
from . import agent, running
from .running_turn import RunningTurn
from .starting import set_up, start, start_unprepared
from .tasks import to_the_end

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage

    from ...events.models import Conversation
    from ...events.types import Outcome

logger = logging.getLogger("turnlog")


async def take_turn(
    chat: AgentMixin,
    key: Any,
    text: str,
    turn_id: uuid.UUID,
    *,
    initial: bool,
) -> RunningTurn | None:
    """Answer a person's words. Returns None if this turn was already started.

    The words are committed before the model is called. Raises TurnInProgress, TurnConflict or
    DatabaseError if they cannot be. After the commit nothing is raised: the log and the returned
    turn say how it ended.
    """
    from langchain_core.messages import HumanMessage

    human = HumanMessage(text)
    conversation = await chat.aget_conversation()
    setup, failure = await set_up(chat)
    version, actor_id, at = 0, None, timezone.now()
    if conversation is None:
        if running.find(key) is not None:
            raise TurnInProgress(0, turn_id)
    else:
        metadata = {"initial": True} if initial else {}
        if setup is not None:
            started, setup, failure = await start(
                chat, conversation, human, turn_id, setup, metadata
            )
        else:
            started = await start_unprepared(chat, conversation, human, turn_id, metadata)
        if not started.created:
            return None
        event = started.event
        version, actor_id, at = event.version, event.actor_id, event.recorded_at
    turn = RunningTurn(
        key,
        turn_id,
        actor_id=actor_id,
        version=version,
        human_text=text,
        show_human=not initial or chat.get_show_initial_prompt(),
        at=at,
    )
    running.enter(turn)
    try:
        await _answer(chat, turn, setup, failure, human)
        if conversation is not None and not turn.in_log:
            await to_the_end(lambda: _close_unrecorded(conversation, turn))
    except Exception as error:  # noqa: BLE001 - no caller could handle it
        # An overridden hook raised, or the database refused. The words are in the log; the turn
        # is closed there if that is still possible.
        logger.error("turn %s could not be recorded: %s", turn_id, failures.where(error))
        turn.outcome, turn.failure = "failed", failures.describe(error)
        if conversation is not None:
            await to_the_end(lambda: _close_failed(conversation, turn))
    finally:
        running.leave(turn)
    return turn


async def _answer(
    chat: AgentMixin,
    turn: RunningTurn,
    setup: Setup | None,
    failure: Exception | None,
    human: HumanMessage,
) -> None:
    """Let the model answer, then call the hook for how the turn ended."""
    stopped = False
    error = failure
    if setup is not None:
        try:
            await _ask(chat, turn, setup, human)
        except asyncio.CancelledError:
            stopped = True
        except Exception as caught:  # noqa: BLE001 - models and their clients raise anything
            error = caught
    turn.finish_text()
    chat.current_turn = CurrentTurn(turn.turn_id, {"tools_at": turn.answer.tools_at})
    message, outputs = turn.answer.message, _outputs(turn)
    if message is not None and error is None and not stopped:
        await to_the_end(lambda: chat.on_conversation_complete(human, message, outputs))
        turn.outcome = "completed"
        return
    outcome: Outcome = turn.stopped_as if stopped else "failed"
    if error is not None:
        outcome, turn.failure = "failed", failures.describe(error)
        if turn.failure["kind"] == "unreachable" and turn.answer.text:
            turn.failure["kind"] = "truncated"  # It was reachable, and answered.
        logger.warning("turn %s failed: %s", turn.turn_id, failures.where(error))
    partial = turn.answer.partial_message()
    await to_the_end(
        lambda: chat.on_conversation_failed(human, outcome, turn.failure, partial, outputs)
    )
    turn.outcome = outcome


async def _ask(chat: AgentMixin, turn: RunningTurn, setup: Setup, human: HumanMessage) -> None:
    from langchain_core.messages import SystemMessage

    system = [SystemMessage(setup.prompt.system_prompt)] if setup.prompt.system_prompt else []
    previous = setup.previous
    if previous is None:  # No conversation: only this connection's.
        previous = await chat.aget_prompt_messages()
    steps = agent.run(
        turn.answer,
        setup.llm,
        [*system, *previous, human],
        setup.tools,
        max_rounds=conf.get().max_tool_rounds,
    )
    async for step in steps:
        turn.follow(step)


def _outputs(turn: RunningTurn) -> Any:
    from langchain_core.runnables.utils import AddableDict

    return [AddableDict(output) for output in turn.answer.tools_output_list] or None


async def _close_unrecorded(conversation: Conversation, turn: RunningTurn) -> None:
    """Close a turn that an overridden hook did not record, as `unrecorded`."""
    if await _is_open(conversation.pk, turn.turn_id):
        turn.outcome = "unrecorded"
        partial = turn.answer.partial_message()
        await conversation.afail_turn(
            turn.turn_id, "unrecorded", ai_message=partial, tools_output_list=_outputs(turn)
        )


async def _close_failed(conversation: Conversation, turn: RunningTurn) -> None:
    # Without the tools' outputs: perhaps one of them cannot be stored.
    partial = turn.answer.partial_message()
    await conversation.afail_turn(turn.turn_id, "failed", error=turn.failure, ai_message=partial)


@in_database_thread
def _is_open(stream_id: int, turn_id: uuid.UUID) -> bool:
    opened = open_turn(stream_id)
    return opened is not None and opened.turn_id == turn_id


@in_database_thread
def actor_id_of(user: Any) -> uuid.UUID | None:
    """Return the pseudonym under which a person's turns are in the log."""
    return Actor.objects.id_of(user)
