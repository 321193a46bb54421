"""Checks each stream: digests, hashes, versions, times, erasures and positions."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from ..store.hashing import GENESIS, raw_event_hash
from ..types import NEVER_ERASED
from .problems import Problem
from .rows import EPOCH, Row


class Anchor(NamedTuple):
    """The event before the first one that is checked: its hash, time and position."""

    hash: bytes
    recorded_at: int
    position: int


class Stream:
    """The state of one stream while its events are checked, one after another.

    It grows only with erased events: those that no `PayloadErased` has named yet.
    """

    def __init__(self, stream_id: int, version: int = 0, anchor: Anchor | None = None) -> None:
        self.id = stream_id
        self.version = version
        self.hash, self.clock, self.position = anchor or Anchor(GENESIS, -(1 << 63), 0)
        self.erased: dict[int, int | None] = {}
        self.waiting_from: int | None = None  # The first version that has no position yet.

    def check(self, row: Row) -> list[Problem]:
        """The problems with the next event: mostly none, found quickly."""
        # fmt: off
        (stream_id, version, type_, schema, turn_id, actor_id, recorded_at,
         payload, metadata, salt, digest, hash_, position, unreadable) = row
        # fmt: on
        found: list[tuple[str, Any, Any]] = []
        if unreadable:
            found += [(name, "a valid value for this column", "another") for name in unreadable]
            self.version = self.version + 1 if version is None else version
            self.hash = hash_ or bytes(32)
            return self._problems(row, found)
        if version != self.version + 1:
            found.append(("version", self.version + 1, version))
        if recorded_at < self.clock:
            found.append(("recorded_at", f"{_time(self.clock)} or later", _time(recorded_at)))
        if payload is None and salt is None:
            self.erased[version] = position
            if type_ in _NEVER_ERASED:
                found.append(("payload", f"one, because {type_.decode()} is never erased", "none"))
        elif payload is None or salt is None:
            found.append(("payload and salt", "both or neither", "one of them"))
        elif len(salt) != 32 or sha256(salt + payload).digest() != digest:
            found.append(("digest", sha256(salt + payload).hexdigest(), digest.hex()))
        elif type_ == b"PayloadErased":
            for version_ in named_versions(payload):
                self.erased.pop(version_, None)
        try:
            # fmt: off
            expected = raw_event_hash(
                self.hash, stream_id, version, recorded_at + EPOCH, schema, turn_id, actor_id,
                digest, type_, metadata,
            )
            # fmt: on
        except struct.error:
            numbers = f"schema {schema}, recorded_at {recorded_at}"
            found.append(("hash", "numbers that fit into the hash", numbers))
        else:
            if hash_ != expected or len(digest) != 32:
                found.append(("hash", expected.hex(), hash_.hex()))
        if position is None:
            self.waiting_from = self.waiting_from or version
        elif self.waiting_from is not None or position <= self.position:
            found.append(("position", f"one after {self.position}", position))
        else:
            self.position = position
        # Continue from the stored values: one bad event is one problem, not one in each after it.
        self.version, self.hash, self.clock = version, hash_, recorded_at
        return self._problems(row, found) if found else _NOTHING

    def end(self) -> Iterator[Problem]:
        """Yield the problems that are known once all events have passed."""
        for version, position in self.erased.items():
            yield Problem(
                *(position, self.id, version, "erased payload"),
                *("a later PayloadErased naming it", "none"),
            )

    def _problems(self, row: Row, found: Iterable[tuple[str, Any, Any]]) -> list[Problem]:
        place = (row[12], self.id, row[1])
        return [Problem(*place, what, str(want), str(have)) for what, want, have in found]


def _time(recorded_at: int) -> str:
    try:
        return str(_EPOCH + dt.timedelta(microseconds=recorded_at))
    except OverflowError:
        return f"{recorded_at} us after {_EPOCH}"


_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def named_versions(payload: bytes) -> list[int]:
    """The versions that a PayloadErased names; none if its payload is malformed."""
    try:
        return [version for version in json.loads(payload)["versions"] if type(version) is int]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # The events that it should have named are then reported as not named.


_NOTHING: list[Problem] = []
_NEVER_ERASED = tuple(name.encode() for name in NEVER_ERASED)
