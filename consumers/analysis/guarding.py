"""Ends workers that must not stay: after an erasure, with a new owner, without the right to enter.

Whoever chats is checked at each request. But a worker stays when its person is gone, and the right
may be withdrawn meanwhile, or the words erased, in this process or in another one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseFailure

from ...core.asynchronous import in_database_thread
from ...events.models import Event
from ...events.tables.database import log_database
from .. import failures, live, sandbox
from ..answering import tasks
from ..answering.contained import contained
from ..mixins.chat import ChatMixin, find_conversation, overrides
from ..socket import access

if TYPE_CHECKING:
    from ..mixins.agent import AgentMixin

logger = logging.getLogger("turnlog")

SECONDS = 10.0
"""How often the rights of those who have a worker are looked at."""

_START_SECONDS = 60.0
"""How long a worker may take to be there."""

ENDING = ("ConversationCleared", "OwnerChanged", "PayloadErased")
"""Events after which no worker of a conversation stays."""


@dataclass
class _Guarded:
    """A worker's chat, as it was when it last ran code."""

    chat: AgentMixin
    stream_id: int | None
    seen: int
    """The version up to which the conversation has been looked at."""
    used: float = field(default_factory=time.monotonic)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    @property
    def is_settled(self) -> bool:
        """Whether a worker that was asked for would be there by now."""
        return self.used + _START_SECONDS < time.monotonic()


_guarded: dict[sandbox.Place, _Guarded] = {}


async def guard(place: sandbox.Place, chat: AgentMixin, stream_id: int | None) -> None:
    """Look after the worker of a place, which is about to run code for a chat."""
    known = _guarded.get(place)
    seen = known.seen if known else await _head(stream_id)
    _guarded[place] = _Guarded(chat, stream_id, seen)
    tasks.spawn_once(watch)


def end_after(events: Sequence[Event]) -> None:
    """Receiver of the log's after_commit: end the conversation's workers in this process."""
    if _guarded and any(event.type in ENDING for event in events):
        sandbox.end_conversation(live.place_of(events[-1].stream_id))


async def watch() -> None:
    """Run while workers are looked after in this process."""
    while _guarded:
        await asyncio.sleep(SECONDS)
        await look()


async def look() -> None:
    """End the workers that must not stay."""
    for place, guarded in list(_guarded.items()):
        # In the context of its chat: a project may choose by it whose data it sees.
        stays = await asyncio.create_task(_may_stay(guarded), context=guarded.context)
        if _guarded.get(place) is not guarded:
            continue  # Its person has run more code meanwhile.
        if not stays:
            del _guarded[place]
            await sandbox.end(place)
        elif place not in sandbox.places() and guarded.is_settled:
            del _guarded[place]  # It has ended by itself.


async def _may_stay(guarded: _Guarded) -> bool:
    try:
        if await _has_news(guarded):
            return False
        return bool(await contained(_is_welcome(guarded.chat)))
    except DatabaseFailure:
        return True  # The next look comes; nobody can use the worker meanwhile.
    except Exception as error:  # noqa: BLE001 - a project's own rules may raise anything
        logger.error("a sandbox ends: its person's rights are unknown: %s", failures.where(error))
        return False


async def _is_welcome(chat: AgentMixin) -> bool:
    """Return whether a chat's person may still enter, as at each of their requests."""
    if not await in_database_thread(access.session_is_alive)(chat.scope):
        return False
    pk = chat.get_conversation_pk()
    if pk is not None:
        own = overrides(chat, ChatMixin, "aget_conversation")
        chat._conversation = None if own else await in_database_thread(find_conversation)(pk)
    return await chat.can_accept()


async def _has_news(guarded: _Guarded) -> bool:
    if guarded.stream_id is None:
        return False
    seen, found = await _news(guarded.stream_id, guarded.seen)
    if not found:  # Otherwise whoever guards the place next must find it, too.
        guarded.seen = seen
    return found


@in_database_thread
def _news(stream_id: int, seen: int) -> tuple[int, bool]:
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id, version__gt=seen)
    types: list[Any] = list(stream.order_by("version").values_list("version", "type"))
    return (types[-1][0] if types else seen), any(type_ in ENDING for _, type_ in types)


@in_database_thread
def _head_of(stream_id: int) -> int:
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    return stream.order_by("-version").values_list("version", flat=True).first() or 0


async def _head(stream_id: int | None) -> int:
    return 0 if stream_id is None else await _head_of(stream_id)
