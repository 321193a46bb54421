"""Names a conversation after its first exchange, beside the turn: nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from ...core.asynchronous import in_database_thread
from ...core.errors import ConfigurationError
from ...core.wellformed import clipped, wellformed
from ...events import changes
from ...events.models import Event
from ...events.tables.conversation import rows
from ...events.tables.database import log_database
from .. import failures
from .contained import contained
from .running_turn import RunningTurn

if TYPE_CHECKING:
    from ...events.models import Conversation
    from ..mixins.agent import AgentMixin

logger = logging.getLogger("turnlog")

PROMPT = (
    "Name this conversation between a user and an assistant in at most six words, in the language"
    " of the user's words. Answer with the name alone."
)
LONGEST = 80
"""Characters of a name."""
_GIVEN = 2_000
"""Characters of the question and of the answer that the model is given."""
_TAKEN = 500
"""Characters of the model's answer after which it is cut off."""
_TRIES = 3
"""If the first turn gives no name, the next ones may, up to so many."""
_MARKS = " \t#*_`\"'“”‘’«»「」『』"

WAYS = ("", "words", "model")


async def name_conversation(
    chat: AgentMixin, conversation: Conversation, turn: RunningTurn, llm: Any
) -> None:
    """Name a conversation without a name after a turn, as `chat.name_conversations` says.

    What goes wrong is logged, and the conversation stays without a name.
    """
    try:
        if chat.name_conversations not in WAYS:
            raise ConfigurationError(
                f"{type(chat).__name__}.name_conversations must be one of"
                f" {', '.join(map(repr, WAYS))}, found {chat.name_conversations!r}"
            )
        if not await _may_be_named(conversation.pk, turn):
            return
        said, answered = turn.human_text, turn.answer.text
        if chat.name_conversations == "model":
            title = as_title(await contained(_by_model(chat, llm, said, answered)))
        else:
            title = as_title(said)
        if title:
            await _name(conversation.pk, title, turn_id=turn.turn_id)
    except Exception as error:  # noqa: BLE001 - a name is no reason to disturb anybody
        what = error if isinstance(error, ConfigurationError) else failures.where(error)
        logger.warning("conversation %s could not be named: %s", conversation.pk, what)


def as_title(text: str) -> str:
    """Return a text's first line with words as a name: one line, at most `LONGEST` characters."""
    lines = (
        " ".join(line.split()).strip(_MARKS) for line in wellformed(text[:_GIVEN]).splitlines()
    )
    line = next(filter(None, lines), "")
    if len(line) <= LONGEST:
        return line
    words = line[: LONGEST - 1]
    at = words.rfind(" ")
    return (words[:at] if at > LONGEST // 2 else words).rstrip() + "…"


async def _by_model(chat: AgentMixin, llm: Any, said: str, answered: str) -> str:
    from langchain_core.messages import HumanMessage, SystemMessage

    exchange = f"{clipped(said, _GIVEN)}\n\n---\n\n{clipped(answered, _GIVEN)}"
    messages = [SystemMessage(chat.naming_prompt or PROMPT), HumanMessage(exchange)]
    text = ""
    async with (
        asyncio.timeout(chat.get_llm_timeout()),
        contextlib.aclosing(llm.astream(messages)) as chunks,
    ):
        async for chunk in chunks:
            text += str(chunk.text)
            if len(text) > _TAKEN:
                break
    return text


@in_database_thread
def _may_be_named(pk: int, turn: RunningTurn) -> bool:
    """Return whether a name is still to be had, from this turn: looked at before a model is asked.

    Only the owner's words make one, as the owner's list shows it; where nobody owns the
    conversation, a guest's do.
    """
    if not rows().filter(pk=pk, owner_actor_id=turn.actor_id).exists():
        return False
    stream = Event.objects.using(log_database()).filter(stream_id=pk, actor_id=turn.actor_id)
    # A turn that has waited goes on at a later version than it began at.
    started = stream.filter(type="TurnStarted", version__lt=turn.version)
    earlier = started.exclude(turn_id=turn.turn_id)
    return earlier[:_TRIES].count() < _TRIES and not changes.has_name(pk)


_name = in_database_thread(changes.name)


def named_beside(chat: AgentMixin, turn: RunningTurn, *, initial: bool) -> bool:
    """Return whether a turn that has ended may name its conversation."""
    return bool(chat.name_conversations) and not initial and turn.outcome == "completed"
