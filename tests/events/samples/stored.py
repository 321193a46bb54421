"""Sample files: JSON lines in the form of docs/examples/stream.jsonl, each a stream of its own."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from turnlog.core import codec
from turnlog.events.chain import NewEvent, chained
from turnlog.events.models import Event
from turnlog.events.standing import Standing
from turnlog.events.store.hashing import microseconds
from turnlog.events.types import EVENT_TYPES, EventData

HERE = Path(__file__).parent
COMMAND = "python -m tests.events.samples"
START = dt.datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=dt.UTC)
ADA = uuid.UUID("6f1b9a52-7c3e-4d0f-8e2a-9b4c5d6e7f80")
TURN = uuid.UUID("0b7e3c1a-5f0d-4c8e-9a51-2f6d1c9e4b10")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STREAM = 7


def offer(data: EventData, turn_id: uuid.UUID | None = None, **metadata: Any) -> NewEvent:
    return NewEvent(data, turn_id, ADA, metadata)


def stream_of(offered: Sequence[NewEvent], erased: Sequence[int] = ()) -> list[Event]:
    """The events of a stream, a second apart; those of the `erased` versions without payload."""
    events: list[Event] = []
    for number, new in enumerate(offered):
        last = events[-1] if events else None
        head = Standing(number, last.hash) if last else Standing()
        salt = sha256(
            f"salt {number}".encode()
        ).digest()  # The same in every run; real ones are not.
        payload = codec.to_json(new.data.payload())
        events += chained(
            _STREAM, head, [new], [payload], START + dt.timedelta(seconds=number), salt
        )
    for event in events:
        if event.version in erased:
            event.payload = event.salt = None
    return events


def write(path: Path, events: Sequence[Event]) -> None:
    """A new sample. Raises FileExistsError: what was released is never written again."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        for event in events:
            file.write(json.dumps(_row(event), ensure_ascii=False) + "\n")
    sys.stdout.write(f"wrote {path.relative_to(HERE.parents[2])}\n")


def read(path: Path) -> list[Event]:
    """The events of a sample."""
    # Not by splitlines(): a payload may hold other ends of lines.
    with path.open(encoding="utf-8", newline="\n") as file:
        return [_event(json.loads(line)) for line in file]


def samples(name: str, schema: int) -> list[Path]:
    """The sample files of one schema of one type."""
    return sorted(HERE.glob(f"{name}.{schema}.*jsonl"))


def missing() -> Iterator[tuple[str, int, set[str]]]:
    """(type, schema, fields) of what no sample shows; the fields of today's schema alone."""
    for name, cls in EVENT_TYPES.items():
        for schema in range(1, cls.schema + 1):
            found = samples(name, schema)
            if not found:
                yield name, schema, set()
            elif schema == cls.schema and (fields := _fields(cls) - _shown(found)):
                yield name, schema, fields


def _fields(cls: type[EventData]) -> set[str]:
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    # A payload that is not the object of the fields says so by a method of its own.
    return names if cls.payload is EventData.payload else set()


def _shown(paths: Sequence[Path]) -> set[str]:
    payloads = [event.payload for path in paths for event in read(path)]
    return {name for payload in payloads if payload for name in json.loads(payload)}


def _row(event: Event) -> dict[str, Any]:
    return {
        "stream_id": event.stream_id,
        "version": event.version,
        "type": event.type,
        "schema": event.schema,
        "turn_id": event.turn_id and str(event.turn_id),
        "actor_id": event.actor_id and str(event.actor_id),
        "recorded_at": microseconds(event.recorded_at),
        "payload": event.payload,
        "metadata": event.metadata,
        "salt": event.salt and bytes(event.salt).hex(),
        "digest": bytes(event.digest).hex(),
        "hash": bytes(event.hash).hex(),
    }


def _event(row: dict[str, Any]) -> Event:
    for name in ("turn_id", "actor_id"):
        row[name] = row[name] and uuid.UUID(row[name])
    for name in ("salt", "digest", "hash"):
        row[name] = row[name] and bytes.fromhex(row[name])
    row["recorded_at"] = _EPOCH + dt.timedelta(microseconds=row["recorded_at"])
    return Event(**row)
