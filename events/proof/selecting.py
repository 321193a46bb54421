"""Selects the events for a bundle."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from django.db import connections
from django.utils import timezone

from ...core.errors import ConfigurationError
from ...core.users import users_named
from ..tables.actor import Actor
from ..tables.conversation import require_conversation
from ..tables.database import log_database
from ..tables.event import Event
from .bundle import Selection


def select(
    conversations: Sequence[int] = (),
    actors: Sequence[uuid.UUID] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Selection:
    """Select all events; or those of some conversations, by some actors, and recorded from `since`
    to `until` (both included). A criterion that is not given does not restrict.

    Raises UnknownConversation, and ConfigurationError if a conversation has no events.
    """
    for pk in conversations:
        require_conversation(pk)
        if not Event.objects.using(log_database()).filter(stream_id=pk).exists():
            raise ConfigurationError(
                f"conversation {pk} has no events yet: there is nothing to export"
            )
    parts = []
    scope: dict[str, Any] = {}
    if conversations:
        scope["conversations"] = sorted(set(conversations))
        parts.append(f"{{e}}.stream_id IN ({', '.join(map(str, scope['conversations']))})")
    if actors:
        scope["actors"] = sorted(map(str, set(actors)))
        listed = ", ".join(_literal("actor_id", uuid.UUID(actor)) for actor in scope["actors"])
        parts.append(f"{{e}}.actor_id IN ({listed})")
    for name, moment, sign in (("since", since, ">="), ("until", until, "<=")):
        if moment is not None:
            scope[name] = moment.isoformat()
            parts.append(f"{{e}}.recorded_at {sign} {_literal('recorded_at', moment)}")
    where = " AND ".join(parts)
    if not scope:
        return Selection()
    if set(scope) == {"conversations"}:
        return Selection("conversations", where.format(e="e"), scope)
    return Selection(
        "selection",
        where.format(e="e"),
        scope,
        erasures="e.type = 'PayloadErased' AND e.stream_id IN (SELECT g.stream_id FROM"
        f" turnlog_event g WHERE g.payload IS NULL AND {where.format(e='g')})",
    )


def actor_of(name: str) -> uuid.UUID:
    """The actor id of a user, by name, or an actor id of the log, such as a forgotten user's.

    Raises ConfigurationError if no such user or actor has recorded anything.
    """
    with suppress(ValueError):
        actor = uuid.UUID(name)
        if Event.objects.using(log_database()).filter(actor_id=actor).exists():
            return actor
    named = [user.pk for user in users_named(name)]
    found: Actor | None = Actor.objects.using(log_database()).filter(user__in=named).first()
    if found is None:
        raise ConfigurationError(
            f"no user or actor {name!r} has recorded anything; give a user name or an actor id"
        )
    actor_id: uuid.UUID = found.pk
    return actor_id


def moment(text: str) -> dt.datetime:
    """The UTC time of an ISO 8601 text.

    Raises ConfigurationError if the text is malformed or has no zone.
    """
    found = None
    with suppress(ValueError, OverflowError):
        given = dt.datetime.fromisoformat(text)
        found = None if timezone.is_naive(given) else given.astimezone(dt.UTC)
    if found is None:
        raise ConfigurationError(
            f"expected a time with its zone, such as 2026-11-22T10:00:00+09:00, found {text!r}"
        )
    return found


def _literal(column: str, value: Any) -> str:
    """A UUID or a time as SQL. Neither can contain a quote."""
    field = cast(Any, Event._meta.get_field(column))
    stored = field.get_db_prep_value(value, connections[log_database()])
    return f"'{stored}'"
