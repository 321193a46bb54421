from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import connections, models

from ...core.errors import LegalHold
from .held import require_no_hold_of


class ActorManager(models.Manager["Actor"]):
    def id_of(self, user: Any) -> uuid.UUID | None:
        """The pseudonym of a user, created if there is none yet; None for None and for guests.

        It is cached on the user object, which lives as long as a request or a socket.
        """
        if user is None or not user.is_authenticated:
            return None
        known: uuid.UUID | None = getattr(user, "_turnlog_actor_id", None)
        if known is None:
            known = self.get_or_create(user_id=user.pk)[0].id
            if not connections[self.db].in_atomic_block:
                # Not within a transaction, which may be rolled back.
                user._turnlog_actor_id = known
        return known


def unless_held(collector: Any, field: Any, actors: Any, using: str) -> None:
    """CASCADE, except that an actor stays while a conversation of theirs is under a legal hold.

    Raises ProtectedError, which the admin shows as such.
    """
    for actor in actors:
        try:
            require_no_hold_of(actor.user_id, actor.pk)
        except LegalHold as error:
            raise models.ProtectedError(str(error), {actor}) from error
    models.CASCADE(collector, field, actors, using)


class Actor(models.Model):
    """The user that a pseudonym in the log stands for.

    Deleting the user deletes the row. That forgets the user and breaks no hash.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=unless_held, related_name="+")
    # For the receipt of a row that is being deleted.
    forgotten_by: uuid.UUID | None = None
    forgotten_for: str = ""

    objects = ActorManager()

    class Meta:
        db_table = "turnlog_actor"

    def __str__(self) -> str:
        return str(self.id)
