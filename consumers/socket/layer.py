"""One client's place in the channel layer. If the layer fails, or does not answer, the chat
continues."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

from ...core import retrying
from ..answering import tasks
from ..telling import in_time, warn_of_layer

# Members that join again at once: a layer may open a connection for each.
_AT_ONCE = 20

_members: set[Member] = set()


class Member:
    """Receives what is sent to its channel, and to one group, if there is a layer."""

    def __init__(
        self,
        layer: Any,
        take: Callable[[Any], Awaitable[None]],
        joined_again: Callable[[], None],
    ) -> None:
        self.name = ""
        """The channel's name; "" while the layer has not given one."""
        self._layer = layer
        self._take = take
        self._joined_again = joined_again
        self._group = ""
        self._listening: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Take the layer's messages from now on."""
        if self._layer is None:
            return
        await self._be_named()
        # Not awaited where it is cancelled: it may hang in the layer.
        self._listening = tasks.spawn(self._listen(), tasks.beside, contextvars.copy_context())

    def silence(self) -> None:
        """Take no messages any more."""
        if self._listening is not None:
            self._listening.cancel()

    async def join(self, group: str) -> bool:
        """Receive a group's messages from now on; return whether the layer could be reached."""
        if self._layer is None:
            return True
        self._group = group
        _members.add(self)
        return await self._add()

    async def leave(self) -> None:
        """Stop receiving the group's messages, also if it was about to join."""
        if self in _members:
            _members.discard(self)
            await self._discard()

    async def _be_named(self) -> bool:
        if not self.name:
            try:
                self.name = await in_time(self._layer.new_channel())
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)
        return bool(self.name)

    async def _listen(self) -> None:
        while True:
            if self.name:
                try:
                    message = await self._layer.receive(self.name)
                except Exception as error:  # noqa: BLE001 - a transport may raise anything
                    warn_of_layer(error)
                else:
                    await self._take(message)
                    continue
            tasks.spawn_once(_rejoin)
            await asyncio.sleep(retrying.LAYER_PAUSE)

    async def _add(self) -> bool:
        if not await self._be_named():
            return False
        try:
            await in_time(self._layer.group_add(self._group, self.name))
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)
            return False
        return True

    async def _discard(self) -> None:
        if self.name:
            try:
                await in_time(self._layer.group_discard(self._group, self.name))
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)

    async def add_again(self) -> bool:
        """Join once more, after the layer was away; return whether it could be reached."""
        joined = await self._add()
        if self not in _members:
            await self._discard()  # It has left meanwhile.
            return True
        if joined:
            self._joined_again()
        return joined


async def _rejoin() -> None:
    # The layer may have come back empty, and only one member in a process learns of its failure.
    everybody = False
    while not everybody:
        await asyncio.sleep(retrying.LAYER_PAUSE)
        everybody = True
        members = list(_members)
        for begin in range(0, len(members), _AT_ONCE):
            few = members[begin : begin + _AT_ONCE]
            everybody &= all(await asyncio.gather(*(member.add_again() for member in few)))
