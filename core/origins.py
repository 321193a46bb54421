"""Web origins (RFC 6454): where a page comes from, as scheme, host and port. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.encoding import punycode
from django.utils.http import is_same_domain

_DEFAULT_PORTS = {"http": 80, "https": 443}
_WHOLE = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@\\%]+", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """An origin in the one form that is compared: lower case, punycode, no dot at the end."""

    scheme: str
    host: str
    """A name, an IPv4 address, an IPv6 address without brackets, or `*.` and a name."""
    port: int | None
    """None if the scheme has no default port, and none is given."""

    def covers(self, other: Origin) -> bool:
        """Return whether another origin is this one.

        A host `*.example.com` stands for example.com and all names below it, as it does in Django's
        CSRF_TRUSTED_ORIGINS.
        """
        if (self.scheme, self.port) != (other.scheme, other.port) or "*" in other.host:
            return False
        if self.host.startswith("*."):
            return is_same_domain(other.host, self.host.removeprefix("*"))
        return self.host == other.host


def parse_origin(text: str) -> Origin | None:
    """Return the origin that a text names; None if it is no origin.

    An origin is `scheme://host` or `scheme://host:port`. `null` is none, nor is an address with a
    path, a query or a user.
    """
    if not _WHOLE.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
        host = _normal(parts.hostname or "")
    except ValueError:  # UnicodeError is one.
        return None
    if not host or port == 0 or text.endswith(":"):
        return None
    return Origin(parts.scheme, host, port or _DEFAULT_PORTS.get(parts.scheme))


def is_origin_or_pattern(text: str) -> bool:
    """Return whether a text can stand in a list of origins: an origin, or one with `*.` in it."""
    origin = parse_origin(text)
    return origin is not None and "*" not in origin.host.removeprefix("*.")


def _normal(host: str) -> str:
    if ":" in host:
        return ipaddress.IPv6Address(host).compressed
    return punycode(host.removesuffix(".")).lower()
