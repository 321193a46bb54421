"""Looks every few seconds whether another process has appended to a conversation that is open here.

A channel layer tells at once, if there is one. Without one, and when its message is lost, what was
erased elsewhere must still go from the open pages, and what was said elsewhere must come.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
    known: dict[live.Place, int] = {}
    away = False
    while True:
        await asyncio.sleep(SECONDS)
        followed = live.followed()
        if not followed:
            return
        try:
            for few in _groups(followed):
                # Not by the threads that turns wait for: they may all be held. In the context of
                # one who listens: it may say whose tables these are.
                look = partial(_heads, list(map(live.stream_of, few)))
                heads = await by_heart(partial(followed[few[0]].run, look))
                for place in few:
                    head = heads.get(live.stream_of(place), 0)
                    if known.get(place) != head:
                        live.wake_behind(place, head)
                    known[place] = head
            known = {place: known.get(place, 0) for place in followed}
            away = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look comes
            if not away:
                logger.warning("open conversations are not watched: %s", failures.where(error))
            away = True


def _groups(followed: Iterable[live.Place]) -> Iterator[list[live.Place]]:
    """Yield places of one tenant each, as many as one statement looks at."""
    tenants: defaultdict[str, list[live.Place]] = defaultdict(list)
    for place in followed:
        tenants[live.tenant_of(place)].append(place)
    for places in tenants.values():
        for begin in range(0, len(places), _AT_ONCE):
            yield places[begin : begin + _AT_ONCE]


def _heads(stream_ids: Sequence[int]) -> dict[int, int]:
    """Return the version of each conversation's last event, read by index."""
    using = log_database()
    last = Event.objects.using(using).filter(stream_id=OuterRef("pk")).order_by("-version")
    rows = Conversation.objects.using(using).filter(pk__in=stream_ids)
    heads = rows.annotate(head=Subquery(last.values("version")[:1])).values_list("pk", "head")
    return {pk: head or 0 for pk, head in heads.order_by()}
