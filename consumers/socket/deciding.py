"""Takes a person's decision about a tool's call: only about turns of their own, and if they may."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils.translation import gettext as _

from ...core.asynchronous import in_rendering_thread
from ...core.errors import NotWaiting
from ...events.models import Conversation
from ...events.waiting import Waiting, WaitingCall
from ..answering.contained import contained
from ..answering.turn_task import actor_id_of
from ..mixins.agent import AgentMixin
from ..page.asked import shown_and_missing, why_not_approved
from .requests import Decide


class NotDecided(Exception):
    """A decision that is not taken; the message is one sentence for the user, and `status` the one
    of an answer over HTTP."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


async def decide(chat: AgentMixin, asked: Decide) -> None:
    """Record a decision. Raises NotDecided."""
    conversation = await chat.aget_conversation()
    if conversation is None:
        raise NotDecided(sentence("unknown"), 404)
    call = await _call(chat, conversation, asked)
    if call is not None and not await contained(chat.can_approve(call)):
        raise NotDecided(_("You may not decide about this call."), 403)
    if call is not None and asked.approved and (why := await _not_shown(call.input)):
        raise NotDecided(why)
    try:
        await conversation.adecide_call(
            asked.turn_id, asked.call, asked.approved, by=chat.get_user(), reason=asked.reason
        )
    except NotWaiting as error:
        raise NotDecided(sentence(error.why)) from None


async def _call(chat: AgentMixin, conversation: Conversation, asked: Decide) -> WaitingCall | None:
    """Return the call, if it waits. Raises NotDecided for another person's turn, as for none."""
    waiting: Waiting | None = await conversation.awaiting()
    if waiting is None or waiting.started.turn_id != asked.turn_id:
        return None  # Why, the log says.
    if waiting.started.actor_id != await _actor_id_of(chat.get_user()):
        raise NotDecided(sentence("unknown"), 404)
    return next((call for call in waiting.calls if call.number == asked.call), None)


@in_rendering_thread
def _not_shown(document: Any) -> str:
    """Return why a call is not approved, if its input is more than a page shows."""
    _shown, missing = shown_and_missing(document)
    return why_not_approved(missing)


async def _actor_id_of(user: Any) -> uuid.UUID | None:
    found: uuid.UUID | None = await actor_id_of(user)
    return found


def sentence(why: str) -> str:
    """Return why a call does not wait, for a user; see `NotWaiting.why`."""
    return {
        "unknown": _("There is no such call here."),
        "erased": _("This turn was erased: nothing was decided."),
        "ended": _("This turn has ended meanwhile: nothing was decided."),
        "running": _("This call was decided already, and the answer goes on."),
        "no_call": _("There is no such call here."),
        "decided": _("Somebody has decided about this call already."),
    }[why]
