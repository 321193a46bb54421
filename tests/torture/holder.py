"""A process that keeps transactions open on purpose, so that what it appends is seen late.

Its events have ids, and its rows in `turnlog_pending` too, long before they are committed:
whoever followed ids would pass them by.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from django.db import transaction

from turnlog.events.log import append

from .child import Wire
from .writer import messages, places


def hold(wire: Wire, *, label: str, seed: int, own: Sequence[int], shared: Sequence[int]) -> None:
    """Append, say so, and commit only when told.

    Conversations of its own may be held for long. Others write to the shared ones, and wait for
    whoever has the next version; so does every writer of SQLite, whatever the conversation: there
    `own` is empty.
    """
    choose = random.Random(f"{seed}/{label}")
    number = 0
    while not wire.stopping:
        number += 1
        long = bool(own) and choose.random() < 0.7
        streams = choose.sample(own, len(own)) if long else [choose.choice(shared)]
        streams += streams[:1]  # Two batches of one conversation, in one transaction.
        marks = [f"{label}/{number}.{batch}" for batch in range(len(streams))]
        counts = [choose.randint(1, 3) for _ in streams]
        types = [["MessageAppended"] * count for count in counts]
        for mark, stream, kinds in zip(marks, streams, types, strict=True):
            wire.tell(begin=mark, stream=stream, types=kinds, transaction=f"{label}/{number}")
        try:
            with transaction.atomic():
                stored = [
                    append(stream, messages(mark, count))
                    for mark, stream, count in zip(marks, streams, counts, strict=True)
                ]
                wire.tell(holding="long" if long else "short")
                while not wire.stopping and "release" not in wire.orders(None):
                    pass
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody should see it.
            wire.tell_error(error, *marks)
            continue
        for mark, events, kinds in zip(marks, stored, types, strict=True):
            wire.tell(done=mark, places=places(events, kinds))
