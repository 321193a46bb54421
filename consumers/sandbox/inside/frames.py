"""The format on the pipe between server and worker: frames, each with its length before it.

A frame is four bytes, its length as an unsigned big-endian number, and that many bytes. A message
is a frame with a JSON object; its member `parts`, a list of lengths, announces further frames.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

LENGTH = struct.Struct(">I")
LONGEST_MESSAGE = 16 * 2**20
"""Bytes of a message's JSON."""
LONGEST_PART = 2**30
"""Bytes of one further frame; the server's bounds for what a worker sends are far lower."""


def pieces_of(*payloads: bytes) -> Iterator[bytes]:
    """Yield the frames of payloads, in pieces: a large payload is not copied."""
    for payload in payloads:
        yield LENGTH.pack(len(payload))
        yield payload
