"""One client's stream: what it lacks is read, sent and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django_eventstream.utils import (
    make_id,
    sse_encode_error,
    sse_encode_event,
)
from django_eventstream.views import (
    Listener,
    get_listener_manager,
)

from ...core import retrying
from ...core.asynchronous import in_database_thread, release_request_thread
from ...core.faults import is_passing
from .. import failures
from ..answering import tasks
from ..http import leaving
from ..socket import limits
from . import waking
from .channels import Channel, channel_of, is_ours
from .lacking import Forbidden, Lacking, lacking
from .opening import Opening
from .rounds import look_after, look_at_lists

logger = logging.getLogger("turnlog")

R = TypeVar("R")

KEEP_ALIVE = 20.0
"""Seconds without a message after which one is sent, so that no proxy takes the stream for dead."""
PAUSE = 0.25
"""Seconds between two readings of one stream: a burst of appends is read at once."""
_RETRY = (1_000, 8_000)
"""Milliseconds after which a client comes back: each at another time, if all were cut off."""


class Following:
    """Sends what happens in some channels. Everything but `messages` may be called at any time."""

    def __init__(self, opening: Opening) -> None:
        self.user = opening.user
        self.session_key = opening.session_key
        self.ids = dict(opening.ids)
        self.ours: Mapping[str, Channel] = {
            name: channel_of(name) for name in self.ids if is_ours(name)
        }
        self.context: contextvars.Context = contextvars.copy_context()
        """The request's: a project may say in it whose data it is."""
        self.waits_since: float | None = None
        """When a message was given to a client that has not taken it yet."""
        self._reader = opening.reader
        self._scope = opening.scope
        self._started: str = make_id(_stored(self.ids))
        self._told = self._started
        # Read at once: what was given may be outdated already.
        self._unread = set(self.ids)
        self._forbidden = self._stopping = False
        self._task: asyncio.Task[Any] | None = None
        self._share: limits.Share
        # django-eventstream's own channels are told to it by name.
        self._listener = Listener()
        self._listener.user_id = "anonymous" if self.user is None else self.user.pk
        self._listener.channels = set(self.ids)

    @property
    def started(self) -> str:
        """The id that the stream starts from."""
        return self._started

    def look(self, *names: str) -> None:
        """Read channels again, soon. From the stream's own event loop only."""
        self._unread.update(names)
        self._listener.aevent.set()

    def forbid(self) -> None:
        """End the stream: its person may not read it any more, or has logged out."""
        self._forbidden = True
        self._listener.aevent.set()

    def cut(self) -> None:
        """End the stream of a client that does not read: it is given nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._leave()

    def close(self) -> None:
        """Be forgotten: the answer has ended. Any thread may call this."""
        # What ends while a message is being sent ends the generator only once it is collected.
        loop = self._listener.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._leave)

    async def messages(self) -> AsyncIterator[str]:
        """Yield the messages of the stream until it ends."""
        release_request_thread()
        try:
            self._enter()
        except limits.TooMany:
            return  # Others came in between. The client comes back, and is told.
        try:
            async with contextlib.aclosing(self._messages()) as messages:
                async for message in messages:
                    self.waits_since = time.monotonic()
                    yield message
                    self.waits_since = None
        except Exception as error:  # noqa: BLE001 - an answer that has begun has no other end
            logger.error("a stream ended with an error: %s", failures.where(error))
        finally:
            self._leave()

    def _enter(self) -> None:
        self._share = limits.enter(self._scope)
        self._task = asyncio.current_task()
        self._listener.assign_loop()
        get_listener_manager().add_listener(self._listener)
        waking.enter(self)
        leaving.enter(self._stop)
        # They end where no stream is open: so not before.
        tasks.spawn_once(look_after)
        tasks.spawn_once(look_at_lists)

    def _leave(self) -> None:
        if self._task is None:
            return
        self._task = None
        leaving.leave(self._stop)
        waking.leave(self)
        get_listener_manager().remove_listener(self._listener)
        self._share.leave()

    async def _stop(self) -> None:
        """End the stream because its process does: a server waits for open answers."""
        self._stopping = True
        self._listener.aevent.set()

    async def _messages(self) -> AsyncGenerator[str]:
        retry = random.randint(*_RETRY)
        opened = sse_encode_event("stream-open", "", event_id=self._started)
        yield f"retry: {retry}\n{opened}"
        while not self._forbidden:
            while self._unread and not self._forbidden and not self._stopping:
                name = self._unread.pop()
                try:
                    found = await self._lacking(name)
                except Forbidden:
                    self._forbidden = True
                    break
                if message := self._taken(name, found):
                    yield message
                if found.more:
                    self._unread.add(name)
            if self._forbidden:
                break
            await asyncio.sleep(PAUSE)
            if not await self._news():
                yield self._keep_alive()
            if self._stopping:
                return  # The client comes back, to another process.
            if message := self._others():
                yield message
        yield sse_encode_error(
            "forbidden",
            _("You may not follow this any more, or have logged out."),
            {"channels": [channel.asked for channel in self.ours.values()]},
        )

    async def _news(self) -> bool:
        """Wait for a reason to do something; return False if there was none."""
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await self._listener.aevent.wait()
        except TimeoutError:
            return False
        self._listener.aevent.clear()
        return True

    async def _lacking(self, name: str) -> Lacking:
        pauses = retrying.FOLLOWING.pauses()
        while True:
            try:
                async with self._share.lane:
                    return await self.in_context(
                        lambda: lacking(self.user, name, self.ids.get(name), self._reader)
                    )
            except Exception as error:
                # An answer that has begun cannot say that the database is away: it waits. Whoever
                # looks after all streams warns of it, once.
                pause = next(pauses, None)
                if not is_passing(error) or pause is None:
                    raise
            await asyncio.sleep(pause)

    async def in_context(self, function: Callable[[], R]) -> R:
        """Run a function that uses the database as the request's own view would."""
        work = in_database_thread(function)()
        return await asyncio.get_running_loop().create_task(work, context=self.context)

    def _taken(self, name: str, found: Lacking) -> str:
        """Move on; return the messages that say so, empty if the client need not know yet."""
        message = ""
        if found.reset:
            self.ids[name] = found.id
            asked = self._asked(name)
            data = {"channel": asked, "channels": [asked], "reason": found.reset}
            return self._message("stream-reset", json.dumps(data))
        for event in found.events:
            self.ids[name] = event.id
            message += self._message(event.type, event.data)
        # What nobody may see of it moves the cursor, but is no message.
        self.ids[name] = found.id
        return message

    def _others(self) -> str:
        """Return what django-eventstream was told of the project's own channels."""
        manager = get_listener_manager()
        with manager.lock:
            told, self._listener.channel_items = self._listener.channel_items, {}
            overflow, self._listener.overflow = self._listener.overflow, False
            error, self._listener.error = self._listener.error, ""
        self._forbidden |= bool(error)
        message = ""
        for name, items in told.items():
            if self.ids.get(name) is None:
                for item in items:
                    message += self._message(item.type, item.data)
            else:
                self._unread.add(name)  # In their order, from the storage.
        if overflow:
            self._unread.update(self.ids.keys() - self.ours.keys())
        return message

    def _message(self, kind: str, data: str) -> str:
        self._told = make_id(_stored(self.ids))
        encoded: str = sse_encode_event(kind, data, event_id=self._told)
        return encoded

    def _keep_alive(self) -> str:
        """A message that says nothing, but for where the client is."""
        moved = make_id(_stored(self.ids)) != self._told
        return self._message("keep-alive", "") if moved else "event: keep-alive\ndata:\n\n"

    def _asked(self, name: str) -> str:
        channel = self.ours.get(name)
        return name if channel is None else channel.asked


def _stored(ids: dict[str, int | None]) -> dict[str, int]:
    return {name: last for name, last in ids.items() if last is not None}
