"""Server-sent events, as bytes (HTML Living Standard, 9.2)."""

from __future__ import annotations

import re

from django.http.response import HttpResponseBase

from ...core.wellformed import wellformed

# What ends a line of the stream. Not str.splitlines(), which knows more.
_LINE_END = re.compile(r"\r\n|\r|\n")


def event(data: str, *, name: str = "", cursor: int | None = None) -> bytes:
    """Return one event. A client that has it comes back with `cursor`, in Last-Event-ID."""
    lines = [f"event: {name}"] if name else []
    if cursor is not None:
        lines.append(f"id: {cursor}")
    lines += [f"data: {line}" for line in _LINE_END.split(wellformed(data))]
    return ("\n".join(lines) + "\n\n").encode()


def unbuffered(response: HttpResponseBase) -> None:
    """Let each event of a response through at once: nothing on the way may wait for more."""
    response["X-Accel-Buffering"] = "no"  # nginx would.
    # GZipMiddleware would make a file of each event, and not every client reads more than one.
    response["Content-Encoding"] = "identity"


def retry(milliseconds: int) -> bytes:
    """Return when a client that lost its connection should come back."""
    return f"retry: {milliseconds}\n\n".encode()
