"""An ASGI lifespan application that lets running turns finish before the server stops.

    application = ProtocolTypeRouter({..., "lifespan": lifespan})

Without it, a turn that is running when the server stops counts as interrupted.
"""

from __future__ import annotations

from typing import Any

from ..core import conf
from ..core.asynchronous import in_database_thread
from ..projections.engine.versions import warn_of_outdated
from .answering import running, tasks


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Speak the ASGI lifespan protocol (ASGI specification, Lifespan Protocol 2.0)."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
            # As a task: the server answers even while the database is slow.
            tasks.spawn(_warn_of_outdated(), tasks.beside)
        elif message["type"] == "lifespan.shutdown":
            await running.drain(conf.get().shutdown_grace)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _warn_of_outdated() -> None:
    await in_database_thread(warn_of_outdated)()
