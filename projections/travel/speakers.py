"""Who spoke: the users behind the pseudonyms of a conversation's events."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model

from ...events.models import Actor
from ...events.tables.database import log_database

GUEST = "guest"


class Speakers:
    """Names of the people behind pseudonyms; each is looked up once."""

    def __init__(self) -> None:
        self._users: dict[uuid.UUID, Any] = {}

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
        if actor_id not in self._users:
            actors = Actor.objects.using(log_database()).filter(pk=actor_id)
            users: Any = get_user_model()._base_manager
            # Not by a join: a user who was deleted by other means than Django may be missing.
            key = actors.values_list("user_id", flat=True).first()
            self._users[actor_id] = users.filter(pk=key).first()
        return self._users[actor_id]
