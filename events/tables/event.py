from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar, NoReturn

from django.db import models
from django.db.models import F, Q
from django.db.models.base import ModelState
from django.utils.translation import gettext_lazy as _

from ...core import codec
from ...core.codec.blobs import whole, with_texts
from ...core.errors import (
    AppendOnlyError,
    CodecError,
    UnknownEventType,
    UnreadableEvent,
    UpcastFailed,
)
from ...core.fields import MomentField, WordsField
from .. import upcasters
from ..types import EventData
from ..upcasters import event_data


class Event(models.Model):
    """A row of the log. Only `turnlog.events.log.append` writes it."""

    objects: ClassVar[models.Manager[Event]]

    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    type = models.CharField(max_length=64)
    schema = models.SmallIntegerField()
    turn_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    recorded_at = MomentField()
    payload = WordsField(null=True)
    metadata = WordsField()
    salt = models.BinaryField(max_length=32, null=True)
    digest = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    position: int
    """The place in the whole log; set on events that `read_all` yields."""
    spoken_by: Any = None
    """The key of the user behind `actor_id`, on events that an append has just stored for them."""

    class Meta:
        db_table = "turnlog_event"
        ordering = ("stream_id", "version")
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("stream_id", "version"), name="turnlog_event_version"),
            models.CheckConstraint(condition=Q(version__gte=1), name="turnlog_event_version_min"),
        )
        indexes = (
            models.Index(
                F("stream_id"),
                F("turn_id"),
                name="turnlog_event_turn",
                condition=Q(turn_id__isnull=False),
            ),
            # Finds a stream's last TurnStarted, however many other events came after it.
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_started",
                condition=Q(type="TurnStarted"),
            ),
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_cleared",
                condition=Q(type="ConversationCleared"),
            ),
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_branch",
                condition=Q(type="BranchChosen"),
            ),
            # For the trigger that, when a payload is set to NULL, looks for its PayloadErased.
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_erased",
                condition=Q(type="PayloadErased"),
            ),
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_held",
                condition=Q(type__in=("HoldPlaced", "HoldLifted")),
            ),
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_changed",
                condition=Q(type__in=("OwnerChanged", "TitleChanged")),
            ),
            # All forks, whichever conversation they continue: few, and short.
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_forked",
                condition=Q(type="ConversationForked"),
            ),
            # A stream's last summary, and those that an erasure must find: few.
            models.Index(
                F("stream_id"),
                F("version"),
                name="turnlog_event_summarized",
                condition=Q(type="HistorySummarized"),
            ),
            # One person's turns in a room where others said more, and in all rooms.
            models.Index(
                F("actor_id"),
                F("stream_id"),
                F("version"),
                name="turnlog_event_actor",
                condition=Q(turn_id__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version} {self.type}"

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **options: Any,  # fetch_mode, from Django 6.1 on: an event has nothing to fetch later.
    ) -> Event:
        """The same as Django's, in a third of the time: rebuilds load events by the million."""
        if len(values) != len(cls._meta.concrete_fields):
            return super().from_db(db, field_names, values, **options)
        return cls.of_row(db, field_names, values)

    @classmethod
    def of_row(cls, db: str | None, names: Iterable[str], values: Iterable[Any]) -> Event:
        """The event of a row; fields that are not among the names are loaded when asked for."""
        event = cls.__new__(cls)
        event.__dict__.update(zip(names, values, strict=True))
        event._state = ModelState()
        event._state.adding, event._state.db = False, db
        return event

    @property
    def data(self) -> EventData | None:
        """The typed event of today; None if erased. Raises UnknownEventType, UpcastFailed."""
        return self._data(whole)

    @property
    def words(self) -> EventData | None:
        """The same, for those who need none of its pictures and files: large binary strings are
        left out, and a `codec.Blob`'s document is in the place of each."""
        return self._data(with_texts)

    def _data(self, text_of: Callable[[str], str]) -> EventData | None:
        if self.payload is None:
            return None
        try:
            return event_data(self.type, self.schema, self._parsed(text_of))
        except UnreadableEvent as error:
            raise error.at(self.stream_id, self.version) from error.__cause__

    @property
    def current(self) -> Event:
        """This event with the type, schema and payload that it would be stored with today.

        Returns the event itself if it has these already. Salt, digest and hash are always those of
        the stored event. Raises UnknownEventType, UpcastFailed.
        """
        if upcasters.is_current(self.type, self.schema):
            return self
        try:
            if self.payload is None:
                stored: list[Any] = [*upcasters.upcast_erased(self.type, self.schema), None]
            else:
                payload = self._parsed()
                stored = list(upcasters.upcast(self.type, self.schema, payload))
                stored[2] = codec.to_json(stored[2])
        except UnreadableEvent as error:
            raise error.at(self.stream_id, self.version) from error.__cause__
        except CodecError as error:
            failed = UpcastFailed(self.type, self.schema, f"their result is not JSON: {error}")
            raise failed.at(self.stream_id, self.version) from error
        event = copy.copy(self)
        event.type, event.schema, event.payload = stored
        return event

    def _parsed(self, text_of: Callable[[str], str] = whole) -> Any:
        try:
            return json.loads(text_of(self.payload or ""))
        except (ValueError, RecursionError) as error:
            what = f", whose payload is not JSON: {error}"
            raise UnknownEventType(self.type, self.schema, what) from error
        except CodecError as error:
            what = f", whose payload cannot be read: {error}"
            raise UnknownEventType(self.type, self.schema, what) from error

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata, parsed."""
        parsed: dict[str, Any] = json.loads(self.metadata)
        return parsed

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(
            "only turnlog.events.log.append() writes an event, and nothing changes it;"
            f" event {self} was not saved"
        )

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"an event is never deleted; event {self} stays")


class Pending(models.Model):
    """An append that has no positions yet: versions `first` to `last` of one stream."""

    objects: ClassVar[models.Manager[Pending]]

    stream_id = models.BigIntegerField()
    first = models.IntegerField()
    last = models.IntegerField()

    class Meta:
        db_table = "turnlog_pending"

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.first}-{self.last}"


class Position(models.Model):
    """The place of an event in the whole log: 1, 2, 3, ... without gaps, given after the commit."""

    position = models.BigIntegerField(primary_key=True)
    stream_id = models.BigIntegerField()
    version = models.IntegerField()

    class Meta:
        db_table = "turnlog_position"
        constraints = (
            models.UniqueConstraint(fields=("stream_id", "version"), name="turnlog_position_event"),
        )

    def __str__(self) -> str:
        return f"{self.position}: {self.stream_id}/{self.version}"
