"""What may keep a page's socket or stream from opening, in a sentence for the page's developer."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIRequest

from ..core.errors import ConfigurationError
from .routing import has_route

_LOOK = (
    "The server's log says why it did not take the socket. If it says nothing: is a proxy in"
    " front that does not pass WebSockets? uvicorn also needs the package websockets."
)


_LOOK_AT_STREAM = (
    "The server's log says why it did not open the stream. If it says nothing: is a proxy in front"
    " that holds back what it should pass on at once?"
)


def obstacle_of_stream(request: Any) -> str:
    """Return what is in the way of a page's stream; `request` is the page's, None if not known."""
    if isinstance(request, WSGIRequest):
        return (
            "This page came over WSGI, and a chat's stream needs ASGI."
            " Put 'daphne' at the top of INSTALLED_APPS, or run an ASGI server such as uvicorn."
        )
    return _LOOK_AT_STREAM


def obstacle(request: Any, ws_url: Any) -> str:
    """Return what is in the way of a page's socket, as far as this process can tell.

    `request` is the page's request, None if it is not known. `ws_url` is the socket's address.
    """
    if isinstance(request, WSGIRequest):
        return (
            "This page came over WSGI, which has no WebSockets; Django's own runserver does so."
            " Put 'daphne' at the top of INSTALLED_APPS, or run an ASGI server such as uvicorn."
        )
    if not ws_url:
        return "The page's context has no 'ws_url', the address of the chat's WebSocket."
    address = urlsplit(str(ws_url))
    try:
        if not address.netloc and not has_route(address.path):
            return (
                f"No WebSocket route in ASGI_APPLICATION matches {address.path!r}."
                " Add the chat's consumer to its URLRouter."
            )
    except (ConfigurationError, ImproperlyConfigured) as error:
        return f"{error}."
    return _LOOK
