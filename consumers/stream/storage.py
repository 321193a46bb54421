"""The log as django-eventstream's storage: it is read there, and written by appends alone."""

from __future__ import annotations

from typing import Any

from django_eventstream.event import Event
from django_eventstream.storage import EventDoesNotExist, StorageBase

from ...core import conf
from ...core.errors import ConfigurationError, TurnlogError
from ..review.access import Reviewed
from .channels import channel_of, is_ours
from .cursor import cursor_at, cursor_of
from .lists import list_head
from .reading import Part, head_of, read_after
from .shown import shown

EVENT = "log"
"""The name of the messages that each hold one event of the log."""


class NotWritten(TurnlogError, ValueError):
    """Something was sent to a channel of the log."""


class Reset(EventDoesNotExist):  # type: ignore[misc]  # Its base has no types.
    """A client must start again at `current_id`, for a reason."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"the client must start again: {part.reset}", int(part.cursor))
        self.reason = part.reset


class LogStorage(StorageBase):  # type: ignore[misc]  # Its base has no types.
    """Put it into EVENTSTREAM_STORAGE_CLASS. Channels that are not the log's are kept by the class
    in TURNLOG["EVENTSTREAM_STORAGE"]."""

    def __init__(self) -> None:
        make = conf.function("EVENTSTREAM_STORAGE")
        self.others: Any = make() if make else None

    def append_event(self, channel: str, event_type: str, data: Any) -> Any:
        """Keep an event of a channel of the project's own. Raises NotWritten for one of ours."""
        if is_ours(channel):
            raise NotWritten(
                f"expected a channel of the project's own, found {channel!r}, whose events are the"
                " log's: nothing was sent; append to the conversation instead"
            )
        return self._others(channel).append_event(channel, event_type, data)

    def get_current_id(self, channel: str) -> int:
        """Return the id of whoever has everything that there is now."""
        if not is_ours(channel):
            current: int = self._others(channel).get_current_id(channel)
            return current
        ours = channel_of(channel)
        return int(list_head() if ours.stream_id is None else head_of(ours))

    def get_events(self, channel: str, last_id: int, limit: int = 100) -> list[Any]:
        """Return at most `limit` events after an id. Raises EventDoesNotExist (Reset).

        Those of the log have no words: django-eventstream does not say who reads them.
        """
        if not is_ours(channel):
            found: list[Any] = self._others(channel).get_events(channel, last_id, limit=limit)
            return found
        ours = channel_of(channel)
        if ours.stream_id is None:
            raise ConfigurationError(
                f"expected turnlog.consumers.stream.urls to serve {channel!r}, which depends on"
                " its reader, found another view"
            )
        part = read_after(ours, cursor_of(last_id), limit)
        if part.reset:
            raise Reset(part)
        return events_of(channel, part, None)

    def _others(self, channel: str) -> Any:
        if self.others is None:
            raise ConfigurationError(
                "expected TURNLOG['EVENTSTREAM_STORAGE'] to name the storage of the project's own"
                f" channels, found none for {channel!r}"
            )
        return self.others


def events_of(channel: str, part: Part, what: Reviewed | None) -> list[Any]:
    """Return what was read as django-eventstream's events, each with the cursor after it."""
    return [
        Event(
            channel,
            EVENT,
            shown(event, what),
            id=int(cursor_at(event.version, bytes(event.hash))),
        )
        for event in part.events
    ]
