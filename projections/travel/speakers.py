"""Who spoke: the users behind the pseudonyms of a conversation's events."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model

from ...events.models import Actor
from ...events.tables.database import log_database

GUEST = "guest"


class Speakers:
    """Names of the people behind pseudonyms; each is looked up once.

    Whoever shows many people at once gives their pseudonyms to `look_up` first.
    """

    def __init__(self, actor_ids: Iterable[uuid.UUID | None] = ()) -> None:
        self._users: dict[uuid.UUID, Any] = {}
        self.look_up(actor_ids)

    def look_up(self, actor_ids: Iterable[uuid.UUID | None]) -> None:
        """Look up all of these people who are not known yet, with two queries."""
        wanted = {each for each in actor_ids if each is not None} - self._users.keys()
        if not wanted:
            return
        actors = Actor.objects.using(log_database()).filter(pk__in=wanted)
        # Not by a join: a user who was deleted by other means than Django may be missing.
        keys = dict(actors.values_list("pk", "user_id"))
        users: Any = get_user_model()._base_manager
        found = {user.pk: user for user in users.filter(pk__in=set(keys.values()) - {None})}
        self._users |= {each: found.get(keys.get(each)) for each in wanted}

    def name(self, actor_id: uuid.UUID | None) -> str:
        """Return `ada`, `Ada Lovelace (ada)`, `(forgotten 6f1b9a52)` or `guest`."""
        if actor_id is None:
            return GUEST
        user = self._user(actor_id)
        if user is None:
            # The beginning of the pseudonym tells the forgotten apart.
            return f"(forgotten {str(actor_id)[:8]})"
        # On one line, with single spaces: a name must not look like what somebody said.
        full = " ".join(str(getattr(user, "get_full_name", str)() or "").split())
        username = " ".join(str(user.get_username()).split())
        return f"{full} ({username})" if full and full != username else username

    def username(self, actor_id: uuid.UUID | None) -> str | None:
        """Return a user's username; None for guests, and for users who are gone or forgotten."""
        user = None if actor_id is None else self._user(actor_id)
        return None if user is None else str(user.get_username())

    def _user(self, actor_id: uuid.UUID) -> Any:
        self.look_up([actor_id])
        return self._users[actor_id]
