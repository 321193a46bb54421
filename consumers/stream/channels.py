"""The names of the log's channels: one for each conversation, and one for the list of them."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import TurnlogError
from ...core.wellformed import clipped
from .. import live

PREFIX = "turnlog-"
_LIST = "list"
_NAME = re.compile(
    r"turnlog-(?P<what>list|[0-9]{1,18})"
    r"(?:\.(?P<tenant>[\w-]{0,60})(?:\.(?P<only>[0-9a-f]{32}))?)?",
    re.ASCII,
)


class BadChannel(TurnlogError, ValueError):
    """A name that begins as ours do, and is none."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A conversation, or the list (None), of one tenant; with `only`, one actor's part of it.

    Clients ask for `turnlog-7` or `turnlog-list`. What the server adds to the name makes it say
    what its events are, whoever reads them.
    """

    stream_id: int | None
    tenant: str = ""
    only: uuid.UUID | None = None

    def __str__(self) -> str:
        what = _LIST if self.stream_id is None else self.stream_id
        rest = f".{self.tenant}" if self.tenant or self.only else ""
        return f"{PREFIX}{what}{rest}" + (f".{self.only.hex}" if self.only else "")

    @property
    def asked(self) -> str:
        """The name by which clients ask for it."""
        return f"{PREFIX}{_LIST if self.stream_id is None else self.stream_id}"

    @property
    def place(self) -> live.Place:
        """What finds the conversation in this process."""
        assert self.stream_id is not None  # Whoever asks has a conversation.
        return (self.tenant, self.stream_id) if self.tenant else self.stream_id


def is_ours(name: str) -> bool:
    """Return whether a channel is the log's. All others are the project's own."""
    return name.startswith(PREFIX)


def channel_of(name: str) -> Channel:
    """Return the channel of a name that is ours; without a tenant, it is the current one's. Raises
    BadChannel."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise BadChannel(
            _("Expected a channel such as turnlog-7 or turnlog-list, found %(name)s.")
            % {"name": clipped(name, 60)}
        )
    what, tenant, only = found["what"], found["tenant"], found["only"]
    return Channel(
        None if what == _LIST else int(what),
        conf.tenant() if tenant is None else tenant,
        uuid.UUID(only) if only else None,
    )
