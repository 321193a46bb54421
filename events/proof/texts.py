"""Checks the texts that turns refer to by digest (`turnlog_content`): present and unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from ..tables.content import texts_of
from . import tables
from .problems import Problem


def check_texts() -> Iterator[Problem]:
    """Yield texts that do not match their digests, and turns whose texts are missing."""
    for digest, text in tables.texts():
        found = sha256(text).hexdigest()
        if found.encode() != digest:
            expected = digest.decode(errors="replace")
            yield Problem(None, None, None, "turnlog_content", expected, found)
    for position, stream_id, version, payload, digest in tables.turns_without_text():
        missing = digest.decode(errors="replace")
        for name in _referring(payload, missing):
            yield Problem(position, stream_id, version, f"text of {name}", missing, "none")


def _referring(payload: bytes, digest: str) -> Iterator[str]:
    try:
        named = texts_of(payload)
    except (ValueError, RecursionError):
        return  # The check of the event's own digest reports that.
    yield from (name for name, key in named.items() if key == digest)
