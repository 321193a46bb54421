"""A WebSocket consumer that outlives its channel layer."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.utils import await_many_dispatch

from .layer import Member

# Messages to a project's own handlers that may wait for their socket.
_MOST_WAITING = 100


class LayerSocket(AsyncWebsocketConsumer):
    """Has one place in the channel layer, if there is a layer."""

    channel_layer: Any = None
    _member: Member

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do as Channels does, for a layer that may not answer.

        The layer's messages are taken at once, also while the socket is busy: what waits in a layer
        for a client that does not read costs memory.
        """
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        self._member = Member(self.channel_layer, self._take, self.joined_again)
        self._given: asyncio.Queue[Any] = asyncio.Queue(_MOST_WAITING)
        sources = [receive]
        if self.channel_layer is not None:
            await self._member.listen()
            sources.append(self._given.get)
        try:
            await await_many_dispatch(sources, self.dispatch)
        except StopConsumer:
            pass
        finally:
            self._member.silence()

    @property
    def channel_name(self) -> str:  # type: ignore[override]  # It may come later.
        """The name by which a project's own code sends this socket a message."""
        return self._member.name

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

    def joined_again(self) -> None:
        """Called when the layer is back: messages may have been missed."""
