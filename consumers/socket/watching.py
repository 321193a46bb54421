"""Looks every few seconds whether another process has appended to a conversation that is open here.

A channel layer tells at once, if there is one. Without one, and when its message is lost, what was
erased elsewhere must still go from the open pages, and what was said elsewhere must come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from django.db.models import OuterRef, Subquery

from ...core.asynchronous import by_heart
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from .. import failures, live

logger = logging.getLogger("turnlog")

SECONDS = 2.0
# Conversations that one statement looks at.
_AT_ONCE = 500


async def watch() -> None:
    """Run while conversations are open in this process: one statement for all of them."""
    known: dict[int, int] = {}
    away = False
    while True:
        await asyncio.sleep(SECONDS)
        followed = live.followed()
        if not followed:
            return
        try:
            for place in range(0, len(followed), _AT_ONCE):
                # Not by the threads that turns wait for: they may all be held.
                heads = await by_heart(partial(_heads, followed[place : place + _AT_ONCE]))
                for stream_id, head in heads.items():
                    if known.get(stream_id) != head:
                        live.wake_behind(stream_id, head)
                known |= heads
            known = {stream_id: known.get(stream_id, 0) for stream_id in followed}
            away = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look comes
            if not away:
                logger.warning("open conversations are not watched: %s", failures.where(error))
            away = True


def _heads(stream_ids: Sequence[int]) -> dict[int, int]:
    """Return the version of each conversation's last event, read by index."""
    using = log_database()
    last = Event.objects.using(using).filter(stream_id=OuterRef("pk")).order_by("-version")
    rows = Conversation.objects.using(using).filter(pk__in=stream_ids)
    heads = rows.annotate(head=Subquery(last.values("version")[:1])).values_list("pk", "head")
    return {pk: head or 0 for pk, head in heads.order_by()}
