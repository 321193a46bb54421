from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.db import connections, models, router

from ...core import retrying
from ...core.errors import AppendOnlyError, LegalHold, NotStored
from .held import require_no_hold_of

_FIXED = "which user a pseudonym stands for never changes; forget_user() forgets it"


class ActorQuerySet(models.QuerySet["Actor"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(_FIXED)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("update_conflicts"):
            raise AppendOnlyError(_FIXED)
        return super().bulk_create(objs, *args, **kwargs)


class ActorManager(
    # The mypy plugin knows such a base only if it has its own name.
    models.Manager["Actor"].from_queryset(ActorQuerySet)  # type: ignore[misc]
):
    def id_of(self, user: Any) -> uuid.UUID | None:
        """The pseudonym of a user, created if there is none yet; None for None and for guests.

        It is read from the log's database each time, not from a replica or from memory: the user
        may have been forgotten meanwhile, or a new pseudonym rolled back. Raises NotStored if the
        database does not keep a new one.
        """
        if not is_user(user):
            return None
        user._turnlog_actor_id = actor_id = self._found(user.pk)
        return actor_id

    def known(self, user: Any) -> uuid.UUID | None:
        """The pseudonym of a user, None if they have none, and for None and for guests: to look
        creates none."""
        if not is_user(user):
            return None
        actors = self.using(router.db_for_write(Actor)).filter(user_id=user.pk)
        found: uuid.UUID | None = actors.values_list("pk", flat=True).first()
        return found

    def remembered(self, user: Any) -> uuid.UUID | None:
        """The same, from the user object if it is known there: only for a statement that compares
        it with the database."""
        known: uuid.UUID | None = getattr(user, "_turnlog_actor_id", None)
        return known or self.id_of(user)

    def keep(self, user: Any) -> uuid.UUID | None:
        """The same as `id_of`, and it stays theirs until the transaction ends: a transaction that
        forgets them waits."""
        if not is_user(user):
            return None
        user._turnlog_actor_id = actor_id = self.keep_of(user.pk)
        return actor_id

    def keep_of(self, user_id: Any) -> uuid.UUID:
        """The same for a user's primary key. Raises NotStored if the row does not stay."""
        using = router.db_for_write(Actor)
        for _ in range(retrying.VANISHED_ACTORS):
            actor_id = self._found(user_id)
            if connections[using].vendor == "sqlite":
                return actor_id  # One writer at a time.
            locked = self.using(using).raw(
                "SELECT id FROM turnlog_actor WHERE id = %s FOR KEY SHARE", [actor_id]
            )
            if list(locked):
                return actor_id
        raise NotStored("turnlog_actor", "expected the user's row to stay, found it gone")

    def _found(self, user_id: Any) -> uuid.UUID:
        actors = self.using(router.db_for_write(Actor))
        actor, created = actors.get_or_create(user_id=user_id)
        if created and not actors.filter(pk=actor.pk).exists():
            raise NotStored("turnlog_actor", "expected a row of the user, found none")
        found: uuid.UUID = actor.pk
        return found


def is_user(user: Any) -> bool:
    """Whether this is somebody who has a pseudonym: not None, and no guest."""
    return user is not None and bool(user.is_authenticated)


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
        base_manager_name = "objects"

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(_FIXED)
        super().save(*args, **{**kwargs, "force_insert": True})
