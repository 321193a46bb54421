"""What one person may have under way in this process at once, so that nobody stops the others.

All of it belongs to the event loop: no other thread may call anything here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Hashable, Iterator
from typing import Any

from django.utils.translation import gettext as _

from ...core import conf
from ..answering import tool_threads

# Reads and renderings of one person's that may be under way together: others come in between.
_LANES = 2
# Requests that a socket may send at once, and how many more each second.
_BURST, _PER_SECOND = 60, 20


class TooMany(Exception):
    """A limit is reached; the message is one sentence for the user."""


class Share:
    """What one person has under way; all guests behind one address count as one person."""

    def __init__(self, person: Hashable) -> None:
        self.lane = asyncio.Semaphore(_LANES)
        self.pace = Pace()
        """How fast this person's requests over HTTP are taken: each has a connection of its own."""
        self._person = person
        self._sockets = self._turns = self._waits = 0

    def leave(self) -> None:
        """Close one socket."""
        self._sockets -= 1
        self._forget_if_idle()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn under way. Raises TooMany."""
        settings = conf.get()
        if self._turns >= settings.max_turns_per_user:
            raise TooMany(_("You have too many answers under way: wait for one of them."))
        if sum(share._turns for share in _shares.values()) >= settings.max_turns:
            raise TooMany(_("Too many answers are under way here: try again in a moment."))
        self._turns += 1
        # For the turn's task, which is begun in this context: its tools have a share, too.
        tool_threads.person.set(self._person)
        try:
            yield
        finally:
            self._turns -= 1
            self._forget_if_idle()
            for each in list(_waiting):
                if not each.done():
                    each.set_result(None)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Stay this person's share while a turn waits for room."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self._forget_if_idle()

    def _forget_if_idle(self) -> None:
        busy = self._sockets or self._turns or self._waits
        if busy or _shares.get(self._person) is not self:
            return
        if self.pace.tired > 0:
            # A person who comes back at once is as fast as if they had stayed.
            asyncio.get_running_loop().call_later(self.pace.tired, self._forget_if_idle)
        else:
            del _shares[self._person]


_shares: dict[Hashable, Share] = {}
_waiting: set[asyncio.Future[None]] = set()


def turn_ended() -> asyncio.Future[None]:
    """Return what is done when the next turn of this process has ended: there is room again."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _waiting.add(ended)
    ended.add_done_callback(_waiting.discard)
    return ended


def enter(scope: Any) -> Share:
    """Open one more socket of the scope's person. Raises TooMany."""
    require_room(scope)
    person = _person_in(scope)
    share = _shares.get(person)
    if share is None:
        share = _shares[person] = Share(person)
    share._sockets += 1
    return share


def require_room(scope: Any) -> None:
    """Raise TooMany if the scope's person may open no more sockets now. Nothing is opened."""
    share = _shares.get(_person_in(scope))
    if (share._sockets if share else 0) >= conf.get().max_sockets_per_user:
        raise TooMany(_("Too many of your pages are open here: close some of them."))


def _person_in(scope: Any) -> Hashable:
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return (conf.tenant(), str(user.pk))
    client = scope.get("client")  # None, or host and port.
    return ("guest", client[0] if client else None)


class Pace:
    """How fast one socket's requests are taken: what comes faster waits with its client."""

    def __init__(self) -> None:
        self._left = float(_BURST)
        self._at = time.monotonic()

    @property
    def tired(self) -> float:
        """Seconds until as many requests may come at once as in the beginning."""
        left = self._left + (time.monotonic() - self._at) * _PER_SECOND
        return max(0.0, (_BURST - left) / _PER_SECOND)

    async def wait(self) -> None:
        """Wait until the next request may be taken."""
        now = time.monotonic()
        self._left = min(_BURST, self._left + (now - self._at) * _PER_SECOND) - 1
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / _PER_SECOND)
