"""Whether the page that opens a socket is one of the site's own."""

from __future__ import annotations

import io
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest

from ...core import conf
from ...core.origins import Origin, parse_origin

_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


def refused_origin(scope: Any) -> str:
    """Return why the page that opens this socket may not, as a sentence for the log; "" if it may.

    The page's origin, as a whole, must be the one that the request came to, or be in
    TURNLOG["ALLOWED_ORIGINS"]; and ALLOWED_HOSTS must have the host that the request came to.
    Browsers always send Origin. A client that sends none is no browser, and may come in.
    """
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    if not given:
        return ""
    try:
        address = _address(scope)
    except DisallowedHost as error:
        return f"the address that it asked for cannot be used: {error}"
    own = parse_origin(address)
    origin = parse_origin(given[0]) if len(given) == 1 else None
    if origin is None:
        return f"{_shown(', '.join(given))} is not the origin of a page"
    if origin == own or any(listed.covers(origin) for listed in _listed()):
        return ""
    if own is not None and _is_program_here(scope, origin, own):
        return ""
    return (
        f"its page is from {_shown(given[0])}, and it came to {_shown(address)}. If a proxy made"
        " the difference, let it pass the Host header, and set SECURE_PROXY_SSL_HEADER. If you"
        " trust that page's site, add its origin to TURNLOG['ALLOWED_ORIGINS']"
    )


def _address(scope: Any) -> str:
    """Return scheme and host that the request came to, as a view sees them.

    Django's own request knows ALLOWED_HOSTS and the proxy's headers. Raises DisallowedHost.
    """
    scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
    request = ASGIRequest(
        {**scope, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO()
    )
    return f"{request.scheme}://{request.get_host()}"


def _listed() -> list[Origin]:
    return list(filter(None, map(parse_origin, conf.get().allowed_origins)))


def _shown(text: str) -> str:
    return repr(text[:200])


def _is_program_here(scope: Any, origin: Origin, own: Origin) -> bool:
    """Return whether a program, and not a page, says that it is at another name of this machine.

    Scripts send `Origin: http://localhost` to 127.0.0.1. For a browser these are two sites, and it
    sends no SameSite cookie from a page of the one to the other. So a request with the session's
    cookie is not a browser's.
    """
    user = scope.get("user")
    return (
        origin.host != own.host
        and {origin.host, own.host} <= _THIS_MACHINE
        and (origin.scheme, origin.port, own.scheme) == ("http", 80, "http")
        and settings.SESSION_COOKIE_SAMESITE in ("Lax", "Strict")
        and settings.SESSION_COOKIE_NAME in scope.get("cookies", {})
        and user is not None
        and user.is_authenticated
    )
