"""What is between a page's sockets and the server, in the browser itself."""

from __future__ import annotations

import re

from playwright.sync_api import WebSocketRoute

from .browser import ChatPage

TRY_AGAIN_LATER = 1013


class Gate:
    """Passes everything on, unless a test wants otherwise. Put it up before the page is opened."""

    def __init__(self, page: ChatPage) -> None:
        self._page = page
        self._open = True
        self._sockets: list[WebSocketRoute] = []
        self.mute = False
        """The server hears the page, but the page does not hear the server."""
        self.closes_with: int | None = None
        """The code by which the page's next message closes its socket, instead of arriving."""
        page.page.route_web_socket(re.compile("/ws/"), self._route)

    def _route(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)
        if not self._open:
            return
        server = socket.connect_to_server()

        def up(message: str | bytes) -> None:
            if self.closes_with is None:
                server.send(message)
            else:
                code, self.closes_with = self.closes_with, None
                socket.close(code=code)

        def down(message: str | bytes) -> None:
            if not self.mute:
                socket.send(message)

        socket.on_message(up)
        server.on_message(down)

    def shut(self) -> None:
        """Leave the page's next socket without a greeting, and reload the page."""
        self._open = False
        self._page.page.reload()
        self._page.expect_connection(re.compile("connecting|offline"))

    def close(self, code: int) -> None:
        """Close the page's present socket, as the server would."""
        self._sockets[-1].close(code=code)

    def unlock(self) -> None:
        """Let the page connect again."""
        self._open, self.mute = True, False
        self.close(TRY_AGAIN_LATER)
