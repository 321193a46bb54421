"""An ASGI lifespan application that lets running turns finish before the server goes.

    application = ProtocolTypeRouter({..., "lifespan": lifespan})

Without it a turn that is under way when the server stops is found later as interrupted.
"""

from __future__ import annotations

from typing import Any

from ..core import conf
from .answering import running


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI lifespan protocol (ASGI specification, Lifespan Protocol 2.0)."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await running.drain(conf.get().shutdown_grace)
            await send({"type": "lifespan.shutdown.complete"})
            return
