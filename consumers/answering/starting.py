"""Starts a turn: prepares what the model is called with, and commits the user's words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.db import DatabaseError
from django.db import Error as DatabaseFailure

from ...core import retrying
from ...core.asynchronous import in_thread
from ...core.errors import (
    BranchRefused,
    ConfigurationError,
    TurnConflict,
    TurnInProgress,
    UnknownTurn,
)
from ...core.faults import is_passing
from ...core.wellformed import wellformed_message
from ...events.models import Conversation
from ...events.prompt import Prompt, StalePrompt
from ...events.turns import Turn
from ...projections.messages.model import replaced
from .. import failures
from ..mixins.agent import AgentMixin, Setup, gives_own_messages
from ..mixins.given import Given, read_at_head, ruled
from . import closing, running
from .contained import contained
from .langchain import imported

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage

R = TypeVar("R")

logger = logging.getLogger("turnlog")

# A limit for overridden methods that fetch tools or prompts from elsewhere: the user cannot stop a
# turn before it has begun.
SET_UP_SECONDS = 30.0


class Started(NamedTuple):
    """A turn that is in the log, and what its model is called with; or why it cannot be called."""

    turn: Turn
    setup: Setup | None
    failure: Exception | None = None


@contextlib.asynccontextmanager
async def one_at_a_time(sent: closing.Sent) -> AsyncIterator[None]:
    """Let one sending of a turn after the other pass; each sees what became of the one before."""
    while (other := _sending.get(sent)) is not None:
        await asyncio.wait([other])
    passed = _sending[sent] = asyncio.get_running_loop().create_future()
    try:
        yield
    finally:
        del _sending[sent]
        passed.set_result(None)


_sending: dict[closing.Sent, asyncio.Future[None]] = {}


async def set_up(chat: AgentMixin) -> tuple[Setup | None, Exception | None]:
    """Return what to call the model with, or why it cannot be called.

    The caller reports the error after the words are committed.
    """

    async def ask() -> Setup:
        await imported()
        return await chat.aget_setup()

    return await _in_time(ask())


async def start(
    chat: AgentMixin,
    conversation: Conversation,
    human: HumanMessage,
    turn_id: uuid.UUID,
    setup: Setup,
    metadata: dict[str, Any],
    instead_of: uuid.UUID | None = None,
) -> Started:
    """Start a turn that records what its model is given; if that fails, start it without.

    Raises TurnInProgress, TurnConflict, database errors that are the database's own fault; and
    UnknownTurn or BranchRefused if the turn `instead_of` cannot be replaced.
    """
    commit = _Commit(chat, conversation, human, turn_id, metadata, instead_of)
    start_with = _own_messages if gives_own_messages(chat) else _listed_messages
    with _replacing(conversation, instead_of):
        started = await start_with(commit, setup)
    if started.turn is not None:
        return Started(started.turn, started.setup, started.failure)
    # The words are not lost: the turn begins, and ends as failed.
    return Started(await commit(None), None, started.failure)


async def start_unprepared(
    chat: AgentMixin,
    conversation: Conversation,
    human: HumanMessage,
    turn_id: uuid.UUID,
    metadata: dict[str, Any],
    instead_of: uuid.UUID | None = None,
) -> Turn:
    """Start a turn whose model cannot be called: its words are still committed."""
    return await _Commit(chat, conversation, human, turn_id, metadata, instead_of)(None)


@contextlib.contextmanager
def _replacing(conversation: Conversation, turn_id: uuid.UUID | None) -> Iterator[None]:
    """Let whoever reads the previous messages read those before the turn that is replaced."""
    token = replaced.set(None if turn_id is None else (conversation.pk, turn_id))
    try:
        yield
    finally:
        replaced.reset(token)


class _Tried(NamedTuple):
    turn: Turn | None = None
    setup: Setup | None = None
    failure: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Commit:
    """The commit of one turn's start."""

    chat: AgentMixin
    conversation: Conversation
    human: HumanMessage
    turn_id: uuid.UUID
    metadata: dict[str, Any]
    instead_of: uuid.UUID | None = None

    @property
    def sent(self) -> closing.Sent:
        return closing.sent_to(self.conversation, self.turn_id)

    async def __call__(self, prompt: Prompt | Callable[[], Prompt] | None) -> Turn:
        pauses = retrying.STARTING.pauses()
        lost = False
        while True:
            try:
                turn = await self._once(prompt)
            except DatabaseFailure as error:
                pause = next(pauses, None)
                if not is_passing(error) or pause is None:
                    if lost or is_passing(error):
                        # The turn may be committed and only the reply lost.
                        failure = failures.describe(error)
                        closing.close_later(self.conversation, self.turn_id, failure)
                    raise
                lost = True
                logger.warning(
                    "a turn could not be started, trying again: %s", failures.where(error)
                )
                await asyncio.sleep(pause)
                continue
            doubtful = lost or closing.is_left(self.sent)
            if doubtful and not turn.created and await self._is_ours(turn):
                closing.forget(self.sent)
                return turn._replace(created=True)
            return turn

    async def _once(self, prompt: Prompt | Callable[[], Prompt] | None) -> Turn:
        return await self.conversation.astart_turn(
            self.human,
            user=self.chat.get_user(),
            turn_id=self.turn_id,
            prompt=prompt,
            metadata=self.metadata,
            instead_of=self.instead_of,
        )

    async def _is_ours(self, turn: Turn) -> bool:
        """Return whether a turn that was in the log already is what an earlier try put there.

        No other sending of it is under way in this process, so if it is open and nobody answers it,
        only the reply to that try was lost.
        """
        answered = running.find(self.sent[0])
        if answered is not None and answered.turn_id == turn.turn_id:
            return False
        return await closing.is_open(self.conversation.pk, turn.turn_id)

    async def or_failure(self, prompt: Prompt | Callable[[], Prompt]) -> Turn | Exception:
        """Commit as above, but return an error that the prompt caused."""
        try:
            return await self(prompt)
        except (TurnConflict, TurnInProgress, UnknownTurn, BranchRefused):
            raise
        except Exception as error:
            if is_passing(error):
                raise
            return error


async def _listed_messages(commit: _Commit, setup: Setup) -> _Tried:
    """Give the model what the rule makes of the message list, read just before the append.

    So what the log records as given is the list as it was when the turn began.
    """
    user, rule = commit.chat.get_user(), commit.chat.get_llm_history_rule()
    summarised = commit.chat.summarize_after_tokens is not None
    ready: list[Setup] = []
    failures_: list[Exception] = []

    def make() -> Prompt:
        try:
            given = ruled(commit.conversation, user, rule, summarised=summarised)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - a rule may be the project's own
            failures_.append(error)
            return Prompt()
        prompt = replace(setup.prompt, previous=given.described())
        failures_.clear()  # A try that lost its race does not count.
        ready.append(replace(setup, prompt=prompt, previous=given.messages))
        return prompt

    turn = await commit.or_failure(make)
    if isinstance(turn, Exception):
        return _Tried(failure=turn)
    if failures_:
        return _Tried(turn, failure=failures_[-1])
    return _Tried(turn, ready[-1] if ready else setup)


async def _own_messages(commit: _Commit, setup: Setup) -> _Tried:
    """Give the model the messages that an overridden method returns.

    The turn starts only if nothing was appended since the method was called; otherwise it is called
    again.
    """
    failure: Exception | None = None
    for _ in range(retrying.OVERTAKEN_PROMPTS):
        given, failure = await _in_time(_given(commit.chat, commit.conversation))
        if given is None:
            break
        prompt = replace(setup.prompt, previous=given.previous, read_at=given.read_at)
        turn = await commit.or_failure(prompt)
        if isinstance(turn, Turn):
            return _Tried(turn, replace(setup, prompt=prompt, previous=given.messages))
        failure = turn
        if not isinstance(turn, StalePrompt):
            break
    return _Tried(failure=failure)


async def _given(chat: AgentMixin, conversation: Conversation) -> Given:
    """Return what `aget_prompt_messages` gives, and the conversation's version before the call.

    Raises what overridden methods raise, and CodecError if a message cannot be stored.
    """
    from langchain_core.messages import convert_to_messages

    rule, summarised = chat.get_llm_history_rule(), chat.summarize_after_tokens is not None
    read = await read_at_head(conversation, chat.get_user(), rule, summarised=summarised)
    messages = convert_to_messages(await chat.aget_prompt_messages())
    return await in_thread(lambda: read.given(list(map(wellformed_message, messages))))


async def _in_time(preparing: Awaitable[R]) -> tuple[R | None, Exception | None]:
    """Return the prepared value, or the error that prevented it; a timeout is one."""
    try:
        async with asyncio.timeout(SET_UP_SECONDS):
            return await contained(preparing), None
    except Exception as error:  # noqa: BLE001 - overridden methods may raise anything
        if isinstance(error, ConfigurationError):
            logger.error("the chat is not set up: %s", error)
        return None, error
