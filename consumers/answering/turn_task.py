"""Takes one turn from the person's words to the log: start, answer, then record or close."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from ...core import retrying
from ...core.asynchronous import in_database_thread, in_thread
from ...core.errors import CodecError, TurnInProgress
from ...core.wellformed import wellformed_message
from ...events import runners
from ...events.models import Actor
from .. import failures
from ..mixins.agent import AgentMixin, CurrentTurn, Setup, has_own_hooks
from ..mixins.limits import Limits
from ..page.turn_view import files_in, words_in
from . import agent, closing, running, tasks
from .again import asaid_again
from .contained import contained
from .naming import name_conversation, named_beside
from .resuming import Continued, is_ready, resume
from .running_turn import RunningTurn
from .showing import Showing
from .starting import one_at_a_time, set_up, start, start_unprepared
from .storable import storable
from .summarising import summarise_later
from .tasks import CutOff, to_the_end
from .tool_values import decoded
from .waiting import wait_for_person

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, HumanMessage

    from ...events.models import Conversation

logger = logging.getLogger("turnlog")


async def take_turn(
    chat: AgentMixin,
    key: Any,
    said: str | HumanMessage | None,
    turn_id: uuid.UUID,
    *,
    initial: bool,
    begun: Callable[[RunningTurn], None] | None = None,
    instead_of: uuid.UUID | None = None,
) -> RunningTurn | None:
    """Answer a person's words. Returns None if this turn was already started.

    With `instead_of`, the turn replaces another one; its words are those of that one if `said` is
    None.

    The words are committed before the model is called; then `begun` is. Raises TurnInProgress,
    TurnConflict, UnknownTurn, BranchRefused or DatabaseError if they cannot be. After the commit
    nothing is raised: the log and the returned turn say how it ended.
    """
    from langchain_core.messages import HumanMessage

    human = HumanMessage(said or "") if isinstance(said, str | None) else said
    conversation = await chat.aget_conversation()
    if conversation is not None and instead_of is not None and said is None:
        human, initial = await asaid_again(conversation, instead_of, chat.get_user())
    sent = (key, turn_id)
    with closing.taken(sent):
        # Two sendings of one turn at once are one turn: the second one finds it started.
        async with one_at_a_time(sent):
            started = await _begin(
                chat, conversation, key, human, turn_id, initial=initial, instead_of=instead_of
            )
            if started is None:
                return None
            turn, setup, failure = started
            running.enter(turn)
            if begun is not None:
                begun(turn)
        await _carry_on(chat, conversation, turn, setup, failure, human)
    if conversation is not None:
        _after_turn(chat, conversation, turn, setup, initial=initial)
    return turn


async def go_on(
    chat: AgentMixin,
    key: Any,
    turn_id: uuid.UUID,
) -> RunningTurn | None:
    """Go on with a turn of which a person has decided all calls that it waited for.

    Returns None if there is nothing to go on with, as when another process does. What it raises
    leaves the turn waiting, or has it closed.
    """
    conversation = await chat.aget_conversation()
    if conversation is None or not await is_ready(conversation, turn_id):
        return None
    setup, failure = await set_up(chat)
    with closing.taken((key, turn_id)):
        try:
            resumed = await resume(chat, conversation, turn_id, setup)
        except Exception as error:
            # The log may say by now that this process goes on with it; it may be the reply alone
            # that was lost. A turn that still waits is not closed.
            closing.close_later(conversation, turn_id, await _described(error))
            raise
        if resumed is None:
            return None
        turn = resumed.turn
        running.enter(turn)
        failure = failure or resumed.failure
        await _carry_on(chat, conversation, turn, setup, failure, resumed.human, resumed.continued)
    _after_turn(chat, conversation, turn, setup, initial=resumed.initial)
    return turn


def _after_turn(
    chat: AgentMixin,
    conversation: Conversation,
    turn: RunningTurn,
    setup: Setup | None,
    *,
    initial: bool,
) -> None:
    """Name and summarise the conversation beside everything else, if that is to be done."""
    if setup is not None and named_beside(chat, turn, initial=initial):
        naming = name_conversation(chat, conversation, turn, setup.llm)
        tasks.spawn(naming, tasks.naming, contextvars.copy_context())
    if turn.outcome == "completed":
        summarise_later(chat, conversation, turn.key)


async def _carry_on(
    chat: AgentMixin,
    conversation: Conversation | None,
    turn: RunningTurn,
    setup: Setup | None,
    failure: Exception | None,
    human: HumanMessage,
    continued: Continued | None = None,
) -> None:
    """Answer a turn that has begun, and see that it ends. Raises nothing."""
    try:
        await _answer(chat, turn, setup, failure, human, continued)
        if conversation is not None and not turn.in_log and await _is_open(conversation, turn):
            turn.outcome = "unrecorded"  # An overridden hook did not record it.
            await closing.close(conversation, turn, "unrecorded")
    except Exception as error:  # noqa: BLE001 - no caller could handle it
        if turn.in_log and isinstance(error, CutOff):
            return  # The event loop ends, as after a test. The turn is recorded.
        # An overridden hook raised, or the database refused. The words are in the log.
        logger.error("turn %s could not be recorded: %s", turn.turn_id, failures.where(error))
        kind = "unstorable" if isinstance(error, CodecError) else "database"
        turn.outcome, turn.failure = "failed", {**await _described(error), "kind": kind}
        if conversation is not None:
            await closing.close(conversation, turn, "failed")
    finally:
        running.leave(turn)


async def _described(error: Exception) -> dict[str, str]:
    """Return what the log keeps of an error, whatever happens to this task meanwhile."""
    try:
        kept: dict[str, str] = await to_the_end(lambda: failures.described(error))
    except CutOff:
        return failures.unheard(error)
    return kept


async def _begin(
    chat: AgentMixin,
    conversation: Conversation | None,
    key: Any,
    human: HumanMessage,
    turn_id: uuid.UUID,
    *,
    initial: bool,
    instead_of: uuid.UUID | None,
) -> tuple[RunningTurn, Setup | None, Exception | None] | None:
    """Commit the words. Returns the turn, and what its model is called with or why it cannot be;
    None if this turn was already started."""
    # Asked for before the words are committed: what it raises must not leave the turn open.
    show_human = not initial or chat.get_show_initial_prompt()
    setup, failure = await set_up(chat)
    version, actor_id, at = 0, None, timezone.now()
    if conversation is None:
        if (other := running.find(key)) is not None:
            if other.turn_id == turn_id:
                return None
            raise TurnInProgress(0, other.turn_id)
    else:
        metadata = {"initial": True} if initial else {}
        if setup is not None:
            started, setup, failure = await start(
                chat, conversation, human, turn_id, setup, metadata, instead_of
            )
        else:
            started = await start_unprepared(
                chat, conversation, human, turn_id, metadata, instead_of
            )
        if not started.created:
            return None
        event = started.event
        version, actor_id, at = event.version, event.actor_id, event.recorded_at
    turn = RunningTurn(
        key,
        turn_id,
        actor_id=actor_id,
        version=version,
        human_text=words_in(human),
        show_human=show_human,
        at=at,
        # Without a log, nothing has them that could be asked for them.
        files=files_in(human, version) if version else (),
    )
    return turn, setup, failure


async def _answer(
    chat: AgentMixin,
    turn: RunningTurn,
    setup: Setup | None,
    failure: Exception | None,
    human: HumanMessage,
    continued: Continued | None = None,
) -> None:
    """Let the model answer, then call the hook for how the turn ended."""
    stopped = False
    error = failure
    showing, limits = Showing(turn), chat.get_limits()
    if setup is not None and failure is None:
        try:
            async with asyncio.timeout(limits.answer_seconds):
                await contained(_ask(chat, turn, setup, human, showing, limits, continued))
        except asyncio.CancelledError:
            stopped = True
        except Exception as caught:  # noqa: BLE001 - models and their clients raise anything
            error = caught
    await to_the_end(showing.finish)
    if turn.answer.held and error is None and not stopped:
        await wait_for_person(chat, turn)
        turn.outcome = "waiting"
        return
    if turn.answer.message is not None and error is None and not stopped:
        await _call_hook(chat, turn, human, turn.answer.message)
        turn.outcome = "completed"
        return
    outcome = turn.stopped_as if stopped else "failed"
    if error is not None:
        outcome, turn.failure = "failed", await _described(error)
        if turn.failure["kind"] == "unreachable" and turn.answer.text:
            turn.failure["kind"] = "truncated"  # It was reachable, and answered.
        logger.warning("turn %s failed: %s", turn.turn_id, failures.where(error))
    await _call_hook(chat, turn, human, turn.answer.partial_message(), outcome)
    turn.outcome = outcome


async def _call_hook(
    chat: AgentMixin,
    turn: RunningTurn,
    human: HumanMessage,
    message: AIMessage | None,
    outcome: Any = "completed",
) -> None:
    """Call the completion hook, or the one for turns that end otherwise; it is the project's.

    If the log cannot store a part of the turn, the hook is called again with what can be stored.
    """
    answer = turn.answer
    parts: tuple[Any, ...] = message, answer.tools_output_list, answer.rounds
    try:
        await _with(chat, turn, human, outcome, *parts)
    except CodecError as error:
        logger.warning("a part of turn %s cannot be stored: %s", turn.turn_id, error)
        kept = await to_the_end(lambda: in_thread(partial(storable, *parts)))
        await _with(chat, turn, human, outcome, **kept)


async def _with(
    chat: AgentMixin,
    turn: RunningTurn,
    human: HumanMessage,
    outcome: Any,
    ai_message: Any,
    tools_output_list: Any,
    rounds: Any,
) -> None:
    from langchain_core.runnables.utils import AddableDict

    metadata = turn.answer.metadata
    chat.current_turn = CurrentTurn(turn.turn_id, metadata, rounds or (), ai_message)
    given, own = tools_output_list or (), has_own_hooks(chat)
    if own or not turn.recorded:
        # The values themselves. The log takes their documents, which are there already.
        given = await to_the_end(lambda: in_thread(partial(decoded, tools_output_list or ())))
    outputs: Any = [AddableDict(output) for output in given] or None
    try:
        await to_the_end(
            lambda: (
                chat.on_conversation_complete(human, ai_message, outputs)
                if outcome == "completed"
                else chat.on_conversation_failed(human, outcome, turn.failure, ai_message, outputs)
            ),
            seconds=retrying.HOOK_SECONDS if own else None,
            give_up=_Blamed() if own else None,
        )
    finally:
        chat.current_turn = None


class _Blamed:
    """Whether a hook that fails is to blame itself: the log can be written to all the while."""

    def __init__(self) -> None:
        self._times = 0

    async def __call__(self) -> bool:
        with contextlib.suppress(Exception):
            await in_database_thread(runners.beat)()
            self._times += 1
        return self._times >= retrying.HOOK_TRIES


async def _ask(
    chat: AgentMixin,
    turn: RunningTurn,
    setup: Setup,
    human: HumanMessage,
    showing: Showing,
    limits: Limits,
    continued: Continued | None,
) -> None:
    from langchain_core.messages import SystemMessage

    system = [SystemMessage(setup.prompt.system_prompt)] if setup.prompt.system_prompt else []
    previous = setup.previous
    if previous is None:  # No conversation: only this connection's.
        previous = list(map(wellformed_message, await chat.aget_prompt_messages()))
    steps = agent.run(
        turn.answer,
        setup.llm,
        [*system, *previous, human] if continued is None else continued.messages,
        setup.tools,
        fallbacks=setup.fallbacks,
        limits=limits,
        approval=chat.aneeds_approval,
        can_wait=turn.recorded,
        decided=None if continued is None else continued.decided,
        offered=None if continued is None else continued.offered,
    )
    async with contextlib.aclosing(steps):
        async for step in steps:
            await showing.follow(step)
            _require_going_on()


def _require_going_on() -> None:
    """Raise CancelledError again if whatever the model's client awaits has swallowed it.

    `asyncio.wait_for` does so up to Python 3.11 if a chunk arrives at the moment of the stop, and
    LangChain's client for OpenAI waits by it for each chunk.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _is_open(conversation: Conversation, turn: RunningTurn) -> bool:
    open_: bool = await to_the_end(lambda: closing.is_open(conversation.pk, turn.turn_id))
    return open_


@in_database_thread
def actor_id_of(user: Any) -> uuid.UUID | None:
    """Return the pseudonym under which a person's turns are in the log."""
    return Actor.objects.id_of(user)
