"""Who may read which channel, as django-eventstream asks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from django_eventstream.channelmanager import (
    ChannelManagerBase,
    DefaultChannelManager,
)
from django_eventstream.eventrequest import EventRequest

from ...core import conf
from .channels import BadChannel, channel_of, is_ours
from .rights import may_follow


class LogChannelManager(ChannelManagerBase):  # type: ignore[misc]  # Its base has no types.
    """Put it into EVENTSTREAM_CHANNELMANAGER_CLASS. Channels that are not the log's are managed by
    the class in TURNLOG["EVENTSTREAM_CHANNELMANAGER"]."""

    def __init__(self) -> None:
        make = conf.function("EVENTSTREAM_CHANNELMANAGER") or DefaultChannelManager
        self.others: Any = make()
        self._stores_others = bool(conf.get().eventstream_storage)

    def get_channels_for_request(self, request: Any, view_kwargs: Any) -> set[str]:
        """Return the channels that a request to django-eventstream's own view is for.

        Raises its EventRequest.Error for one of ours: that view is not woken by appends, and holds
        a thread and a connection for each client.
        """
        asked = self.asked(request, view_kwargs)
        if any(map(is_ours, asked)):
            raise EventRequest.Error(_("turnlog's channels are served by its own address"))
        return set(asked)

    def asked(self, request: Any, view_kwargs: Any) -> Iterable[str]:
        """Return the names that a request asks for, as the project's own manager finds them."""
        names: Iterable[str] = self.others.get_channels_for_request(request, view_kwargs)
        return names

    def can_read_channel(self, user: Any, channel: str) -> bool:
        """Return whether a user (None: a guest) may read a channel now."""
        if not is_ours(channel):
            return bool(self.others.can_read_channel(user, channel))
        try:
            return may_follow(user, channel_of(channel))
        except BadChannel:
            return False

    def is_channel_reliable(self, channel: str) -> bool:
        """Return whether a channel's events are stored, so that a client gets those it missed."""
        if is_ours(channel):
            return True
        return self._stores_others and bool(self.others.is_channel_reliable(channel))
