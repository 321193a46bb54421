"""A WebSocket consumer that outlives its channel layer: if the layer fails, the chat continues."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from ...core import retrying
from ..answering import tasks
from ..live import warn_of_layer

_sockets: set[LayerSocket] = set()


class LayerSocket(AsyncWebsocketConsumer):
    """Joins one group of the channel layer, if there is a layer."""

    _group: str = ""
    _receive_from_layer: Any = None

    @property
    def channel_receive(self) -> Any:
        """Where AsyncConsumer gets the layer's messages; AsyncConsumer sets it itself."""
        return self._hear

    @channel_receive.setter
    def channel_receive(self, receive: Any) -> None:
        self._receive_from_layer = receive

    async def _hear(self) -> Any:
        while True:
            try:
                return await self._receive_from_layer()
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)
            tasks.spawn_once(_rejoin)
            await asyncio.sleep(retrying.LAYER_PAUSE)

    async def join(self, group: str) -> bool:
        """Receive a group's messages from now on; return whether the layer could be reached."""
        if self.channel_layer is None:
            return True
        self._group = group
        _sockets.add(self)
        try:
            await self.channel_layer.group_add(group, self.channel_name)
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)
            return False
        return True

    async def leave(self) -> None:
        """Stop receiving the group's messages."""
        if self not in _sockets:
            return
        _sockets.discard(self)
        try:
            await self.channel_layer.group_discard(self._group, self.channel_name)
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)

    def joined_again(self) -> None:
        """Called when the layer is back: messages may have been missed."""


async def _rejoin() -> None:
    # The layer may have come back empty, and only one socket of a process learns of its failure.
    everybody = False
    while not everybody:
        await asyncio.sleep(retrying.LAYER_PAUSE)
        everybody = True
        for socket in list(_sockets):
            if await socket.join(socket._group):
                socket.joined_again()
            else:
                everybody = False
