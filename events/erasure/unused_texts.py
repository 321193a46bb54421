"""Deletes texts of `turnlog_content` that only erased turns referred to.

A system prompt may contain a user's words. If other turns were given it too, it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from django.db import connections

from ...core.errors import NotStored
from ..tables.content import Content, texts_of
from ..tables.database import log_database
from ..tables.event import Event

_PAGE = 20
_KEYS = 1000
"""Maximum in one walk through the turns: each is a parameter of the statement."""

# Finds each TurnStarted that may refer to some texts. On PostgreSQL, any quoted digest in the
# payload counts, because its JSON functions refuse values that other payloads may hold. False
# matches are sorted out below.
_MENTIONS = {
    "postgresql": """EXISTS (
        SELECT 1 FROM regexp_matches(payload, '"([0-9a-f]{{64}})"', 'g') AS found
        WHERE found[1] IN ({marks}))""",
    "sqlite": """(json_extract(payload, '$.system_prompt') IN ({marks})
        OR json_extract(payload, '$.tools') IN ({marks}))""",
}


def keys_of(payloads: Iterable[str | None]) -> set[str]:
    """The digests of the texts that some payloads of TurnStarted refer to."""
    return {key for payload in payloads if payload for key in texts_of(payload).values()}


def delete_unused(keys: Collection[str]) -> None:
    """Delete the given texts if no turn refers to them any more. Raises NotStored if one stays."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS):
        _delete_unused(ordered[start : start + _KEYS])


def _delete_unused(keys: Collection[str]) -> None:
    """Lock the texts before looking for turns. A turn that starts with such a text holds its lock
    until it commits (see `Content.objects.keep`); so does another erasure.
    """
    contents = Content.objects.using(log_database()).order_by("pk")
    there = contents.filter(pk__in=keys).select_for_update().values_list("pk", flat=True)
    if unused := _unused(set(there)):
        contents.filter(pk__in=unused).delete()
        if left := contents.filter(pk__in=unused).count():
            raise NotStored("turnlog_content", f"expected no text of erased turns, found {left}")


def _unused(keys: Collection[str]) -> set[str]:
    """The texts that no TurnStarted refers to; walks through the turns once at most."""
    unused = set(keys)
    stream_id = version = 0
    while unused:
        page = list(_mentioning(unused, stream_id, version))
        unused -= keys_of(event.payload for event in page)
        if len(page) < _PAGE:
            break
        stream_id, version = page[-1].stream_id, page[-1].version
    return unused


def _mentioning(keys: Collection[str], stream_id: int, version: int) -> Iterator[Event]:
    using = log_database()
    vendor = connections[using].vendor
    mentions = _MENTIONS[vendor].format(marks=", ".join(["%s"] * len(keys)))
    times = 1 if vendor == "postgresql" else 2
    return iter(
        Event.objects.using(using).raw(
            "SELECT * FROM turnlog_event WHERE type = 'TurnStarted' AND payload IS NOT NULL"
            f" AND (stream_id, version) > (%s, %s) AND {mentions}"
            f" ORDER BY stream_id, version LIMIT {_PAGE}",
            [stream_id, version, *(list(keys) * times)],
        )
    )
