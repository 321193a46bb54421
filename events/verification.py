"""Does the log still say what was written? Recomputes every digest, hash and version."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections
from django.db.models import Exists, OuterRef

from .append_only import missing_triggers
from .dialects import log_database
from .hashing import GENESIS, payload_digest
from .log import hash_of
from .models import Event, Pending, Position


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written: where, what was expected and what was found."""

    stream_id: int | None
    version: int | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = "" if self.stream_id is None else f"conversation {self.stream_id}"
        if self.version is not None:
            where += f", version {self.version}"
        return f"{where or 'database'}: {self.what}: expected {self.expected}, found {self.found}"

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


class Verifier:
    """Counts what it has seen; memory does not grow with the log."""

    def __init__(self) -> None:
        self.events = 0
        self.streams = 0

    def problems(self, stream_id: int | None = None) -> Iterator[Problem]:
        """Everything wrong with one stream, or with the log and its triggers, in order."""
        using = log_database()
        if stream_id is None:
            for name in sorted(missing_triggers(connections[using])):
                yield Problem(None, None, "append-only trigger", name, "no such trigger")
        yield from _missing_events(using, stream_id)
        events = Event.objects.using(using).order_by("stream_id", "version")
        if stream_id is not None:
            events = events.filter(stream_id=stream_id)
        stream: _Stream | None = None
        for event in events.iterator(chunk_size=1000):
            if stream is None or event.stream_id != stream.id:
                if stream is not None:
                    yield from stream.unnamed_erasures()
                stream = _Stream(event.stream_id)
                self.streams += 1
            self.events += 1
            yield from stream.check(event)
        if stream is not None:
            yield from stream.unnamed_erasures()


def _missing_events(using: str, stream_id: int | None) -> Iterator[Problem]:
    """Events that have a place in the whole log, or wait for one, and are gone: a cut-off tail."""
    places = {Position: "version", Pending: "last"}
    for model, column in places.items():
        there = Event.objects.filter(stream_id=OuterRef("stream_id"), version=OuterRef(column))
        rows: Any = model._default_manager.using(using).exclude(Exists(there))
        if stream_id is not None:
            rows = rows.filter(stream_id=stream_id)
        for stream, version in rows.order_by("stream_id", column).values_list("stream_id", column):
            yield Problem(stream, version, "event", f"what {model._meta.db_table} names", "none")


class _Stream:
    """What must be remembered of a stream while its events pass."""

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.version = 0
        self.hash = GENESIS
        self.clock: dt.datetime | None = None
        self.erased: set[int] = set()

    def check(self, event: Event) -> Iterator[Problem]:
        def problem(what: str, expected: Any, found: Any) -> Problem:
            return Problem(self.id, event.version, what, str(expected), str(found))

        if event.version != self.version + 1:
            yield problem("version", self.version + 1, event.version)
        if self.clock is not None and event.recorded_at < self.clock:
            yield problem("recorded_at", f"{self.clock} or later", event.recorded_at)
        yield from self._check_payload(event, problem)
        expected = hash_of(event, self.hash)
        if bytes(event.hash) != expected:
            yield problem("hash", expected.hex(), bytes(event.hash).hex())
        # Carry on from what is stored: one bad event is one problem, not a problem in each after.
        self.version, self.hash, self.clock = event.version, bytes(event.hash), event.recorded_at

    def _check_payload(self, event: Event, problem: Any) -> Iterator[Problem]:
        if (event.payload is None) != (event.salt is None):
            yield problem("payload and salt", "both or neither", "one of them")
        elif event.payload is None or event.salt is None:
            self.erased.add(event.version)
        else:
            expected = payload_digest(bytes(event.salt), event.payload)
            if bytes(event.digest) != expected:
                yield problem("digest", expected.hex(), bytes(event.digest).hex())
            elif event.type == "PayloadErased":
                self.erased -= set(json.loads(event.payload)["versions"])

    def unnamed_erasures(self) -> Iterator[Problem]:
        for version in sorted(self.erased):
            yield Problem(
                self.id, version, "erased payload", "a later PayloadErased naming it", "none"
            )
