"""The users behind pseudonyms, for rows that name a user."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import connections

from ...events.models import Actor
from ...events.tables.database import log_database


def users_of(actor_ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, Any]:
    """Return the primary keys of the users behind pseudonyms; deleted users are left out.

    On PostgreSQL, none of these users can be deleted until the transaction ends: the commit would
    refuse rows that name a deleted user.
    """
    wanted = {actor_id for actor_id in actor_ids if actor_id is not None}
    if not wanted:
        return {}
    using = log_database()
    actors: Any = Actor.objects.using(using).filter(id__in=wanted)
    if connections[using].vendor == "postgresql":
        # The weakest lock that a deletion waits for: any number of transactions may hold it.
        actors = Actor.objects.using(using).raw(
            "SELECT id, user_id FROM turnlog_actor WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
            [list(wanted)],
        )
    return {actor.id: actor.user_id for actor in actors}
