"""Does the log hold what was acknowledged, all of it and nothing else? Pure, over rows."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from turnlog.events.models import Event
from turnlog.events.turns import COMPLETION_TYPES

from .ledger import Ledger, Operation
from .reader import Seen

KINDS = (
    "lost",
    "doubled",
    "torn",
    "changed",
    "out of nowhere",
    "refused and yet there",
    "gaps in versions",
    "turns at the same time",
    "missed by a reader",
    "found by verify_log",
    "found by check_projections",
    "unexpected errors",
)


class Wrong(NamedTuple):
    """A violation: its kind, and a sentence."""

    kind: str
    what: str


class Row(NamedTuple):
    """An event as it is in the log. `mark` is its operation's; empty if it was the log's idea."""

    stream: int
    version: int
    type: str
    turn_id: uuid.UUID | None
    hash: str
    mark: str


def rows() -> list[Row]:
    """The whole log, by conversation."""
    events = Event.objects.order_by("stream_id", "version").iterator()
    return [
        Row(e.stream_id, e.version, e.type, e.turn_id, bytes(e.hash).hex(), _mark(e))
        for e in events
    ]


def _mark(event: Event) -> str:
    data = event.data
    error = getattr(data, "error", None) or {}
    mark = event.meta.get("operation") or getattr(data, "reason", "") or error.get("text", "")
    return str(mark)


def judge(ledger: Ledger, log: Sequence[Row]) -> Iterator[Wrong]:
    """What is wrong with a log that these operations have made, in order of stream and version."""
    by_mark: defaultdict[str, list[Row]] = defaultdict(list)
    for row in log:
        by_mark[row.mark].append(row)
    for row in by_mark.pop("", []):
        opening = row.type == "ConversationOpened" and row.version == 1
        if not opening and row.type != "TurnFailed":
            yield Wrong("out of nowhere", f"{row} has no mark")
    for mark, operation in ledger.operations.items():
        yield from _judge_operation(operation, by_mark.pop(mark, []))
    for mark, found in by_mark.items():
        yield Wrong("out of nowhere", f"nobody announced {mark}: {found}")
    yield from _judge_transactions(ledger, {row.mark for row in log})
    by_stream: defaultdict[int, list[Row]] = defaultdict(list)
    for row in log:
        by_stream[row.stream].append(row)
    for stream, events in by_stream.items():
        versions = [row.version for row in events]
        if versions != list(range(1, len(versions) + 1)):
            yield Wrong("gaps in versions", f"conversation {stream}: {versions}")
        yield from _judge_turns(events)


def _judge_operation(operation: Operation, found: Sequence[Row]) -> Iterator[Wrong]:
    types = tuple(row.type for row in found)
    if not found:
        if operation.required:
            yield Wrong("lost", str(operation))
        return
    if operation.refused and operation.places is None:
        yield Wrong("refused and yet there", f"{operation}: {found}")
    if len(types) > len(operation.types):
        yield Wrong("doubled", f"{operation}: {found}")
    elif types != operation.types or not _together(operation.stream, found):
        yield Wrong("torn", f"{operation}: {found}")
    elif operation.places not in (None, tuple((row.version, row.hash) for row in found)):
        yield Wrong("changed", f"{operation}: {found}")


def _together(stream: int, found: Sequence[Row]) -> bool:
    first = found[0].version
    wanted = [(stream, first + number) for number in range(len(found))]
    return [(row.stream, row.version) for row in found] == wanted


def _judge_transactions(ledger: Ledger, there: set[str]) -> Iterator[Wrong]:
    by_transaction: defaultdict[str, set[str]] = defaultdict(set)
    for mark, operation in ledger.operations.items():
        by_transaction[operation.transaction].add(mark)
    for transaction, marks in by_transaction.items():
        if marks & there and marks - there:
            yield Wrong("torn", f"of the transaction {transaction} only {marks & there} are there")


def _judge_turns(events: Iterable[Row]) -> Iterator[Wrong]:
    """A turn is started, recorded and closed once at most, and one at a time is open."""
    happened: Counter[tuple[uuid.UUID, str]] = Counter()
    open_turn = None
    last = None
    for row in events:
        if row.turn_id is None:
            last = None
            continue
        kind = "completed" if row.type in COMPLETION_TYPES else row.type
        if (row.turn_id, kind, row.mark) != last or kind != "completed":
            happened[row.turn_id, kind] += 1
            if happened[row.turn_id, kind] > 1:
                yield Wrong("doubled", f"turn {row.turn_id} is {kind} once more: {row}")
        last = (row.turn_id, kind, row.mark)
        if row.type == "TurnStarted":
            if open_turn is not None:
                yield Wrong("turns at the same time", f"{row} while {open_turn} is open")
            open_turn = row.turn_id
        elif row.turn_id == open_turn:
            open_turn = None


def judge_reader(name: str, seen: Sequence[Seen], log: Sequence[Row]) -> Iterator[Wrong]:
    """What a reader missed, saw twice or in another order than its conversation's."""
    positions = [line.position for line in seen]
    if positions != list(range(1, len(seen) + 1)):
        yield Wrong("missed by a reader", f"{name}: its positions are not 1 to {len(seen)}")
    heads: Counter[int] = Counter()
    for line in seen:
        heads[line.stream] += 1
        if line.version != heads[line.stream]:
            yield Wrong("missed by a reader", f"{name}: {line} after {heads[line.stream] - 1}")
            heads[line.stream] = line.version
    theirs = {(line.stream, line.version, line.hash) for line in seen}
    ours = {(row.stream, row.version, row.hash) for row in log}
    for place in sorted(ours ^ theirs)[:10]:
        which = "did not see" if place in ours else "saw what is not there:"
        yield Wrong("missed by a reader", f"{name} {which} {place}")
