"""A WebSocket consumer that outlives its channel layer: if the layer fails, or does not answer, the
chat continues."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.utils import await_many_dispatch

from ...core import retrying
from ..answering import tasks
from ..telling import in_time, warn_of_layer

# Messages to a project's own handlers that may wait for their socket.
_MOST_WAITING = 100
# Sockets that join again at once: a layer may open a connection for each.
_AT_ONCE = 20

_sockets: set[LayerSocket] = set()


class LayerSocket(AsyncWebsocketConsumer):
    """Joins one group of the channel layer, if there is a layer."""

    channel_layer: Any = None
    channel_name: str = ""
    _group: str = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do as Channels does, for a layer that may not answer.

        The layer's messages are taken at once, also while the socket is busy: what waits in a layer
        for a client that does not read costs memory.
        """
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        self._given: asyncio.Queue[Any] = asyncio.Queue(_MOST_WAITING)
        sources, listening = [receive], None
        if self.channel_layer is not None:
            await self._be_named()
            sources.append(self._given.get)
            # Not awaited where it is cancelled: it may hang in the layer.
            listening = tasks.spawn(self._listen(), tasks.beside, contextvars.copy_context())
        try:
            await await_many_dispatch(sources, self.dispatch)
        except StopConsumer:
            pass
        finally:
            if listening is not None:
                listening.cancel()

    async def _be_named(self) -> bool:
        if not self.channel_name:
            try:
                self.channel_name = await in_time(self.channel_layer.new_channel())
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)
        return bool(self.channel_name)

    async def _listen(self) -> None:
        while True:
            if self.channel_name:
                try:
                    message = await self.channel_layer.receive(self.channel_name)
                except Exception as error:  # noqa: BLE001 - a transport may raise anything
                    warn_of_layer(error)
                else:
                    await self._take(message)
                    continue
            tasks.spawn_once(_rejoin)
            await asyncio.sleep(retrying.LAYER_PAUSE)

    async def _take(self, message: Any) -> None:
        """Take a message of the layer: whoever reaches it may send anything."""
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return
        if kind.startswith("turnlog."):
            self.hear(kind, message)
        elif self._is_a_projects_handler(kind.replace(".", "_")):
            await self._given.put(message)

    def _is_a_projects_handler(self, name: str) -> bool:
        """Return whether messages of the layer may call a method: none that a client's call, and
        none that answer a question."""
        return (
            not name.startswith("_")
            and not hasattr(self.our_own, name)
            and inspect.iscoroutinefunction(getattr(self, name, None))
        )

    our_own: type = AsyncWebsocketConsumer
    """The class whose methods handle no messages of the layer."""

    def hear(self, kind: str, message: dict[str, Any]) -> None:
        """Take in one of our own messages, as the layer has it: it must not wait."""

    async def join(self, group: str) -> bool:
        """Receive a group's messages from now on; return whether the layer could be reached."""
        if self.channel_layer is None:
            return True
        self._group = group
        _sockets.add(self)
        return await self._add()

    async def _add(self) -> bool:
        if not await self._be_named():
            return False
        try:
            await in_time(self.channel_layer.group_add(self._group, self.channel_name))
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)
            return False
        return True

    async def leave(self) -> None:
        """Stop receiving the group's messages, also if the socket was about to join."""
        if self in _sockets:
            _sockets.discard(self)
            await self._discard()

    async def _discard(self) -> None:
        if self.channel_name:
            try:
                await in_time(self.channel_layer.group_discard(self._group, self.channel_name))
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)

    async def _add_again(self) -> bool:
        joined = await self._add()
        if self not in _sockets:
            await self._discard()  # It has left meanwhile.
            return True
        if joined:
            self.joined_again()
        return joined

    def joined_again(self) -> None:
        """Called when the layer is back: messages may have been missed."""


async def _rejoin() -> None:
    # The layer may have come back empty, and only one socket of a process learns of its failure.
    everybody = False
    while not everybody:
        await asyncio.sleep(retrying.LAYER_PAUSE)
        everybody = True
        sockets = list(_sockets)
        for begin in range(0, len(sockets), _AT_ONCE):
            few = sockets[begin : begin + _AT_ONCE]
            everybody &= all(await asyncio.gather(*(socket._add_again() for socket in few)))
