"""Hands pieces to the response that writes them, no faster than the client reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

logger = logging.getLogger("turnlog")

SEND_SECONDS = 20.0
"""How long a client may leave a piece unread."""


class Outlet:
    """One piece waits here at most, and whoever has the next one waits until it is taken."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._reader: asyncio.Task[object] | None = None

    async def give(self, piece: bytes | None) -> None:
        """Give the next piece; None ends the response. A client that does not read is cut off."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._pieces.put(piece)
        except TimeoutError:
            # What waits for this client costs memory, and the client gets it when it comes back.
            logger.info("a client that does not read was cut off")
            if self._reader is not None:
                self._reader.cancel()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what is given, to the task that writes the response."""
        self._reader = asyncio.current_task()
        while (piece := await self._pieces.get()) is not None:
            yield piece
