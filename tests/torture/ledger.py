"""What the writers said: each operation before it began, and its answer once they had one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

Place = tuple[int, str]
"""A version and a hash in hex."""


@dataclass(frozen=True)
class Operation:
    """One batch that somebody offered to the log. Its mark stands in each event of it."""

    mark: str
    stream: int
    types: tuple[str, ...]
    transaction: str
    """Operations of the same transaction happen all or none."""
    places: tuple[Place, ...] | None = None
    """Where its events are, as it was acknowledged."""
    required: bool = False
    """Whether it must be there: acknowledged, and before the dump if the log is restored."""
    refused: bool = False


class Ledger:
    """All operations of a run, and what was odd about the answers."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.surprises: list[str] = []
        self.locked = 0
        """How often SQLite's "database is locked" reached a writer."""
        self.answers: Counter[str] = Counter()
        self.in_flight: set[str] = set()
        """Marks whose writer was killed before it had an answer."""
        self._current: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, label: str, fact: dict[str, Any]) -> bool:
        """Write a child's fact down; whether it was an answer to an operation."""
        if "begin" in fact:
            mark = fact["begin"]
            told = Operation(mark, fact["stream"], tuple(fact["types"]), fact["transaction"])
            known = self.operations.setdefault(mark, told)
            if (known.stream, known.types) != (told.stream, told.types):
                raise ValueError(f"two operations have the mark {mark}: {known} and {told}")
            self._current[label].add(mark)
        elif "done" in fact:
            self._acknowledge(label, fact["done"], tuple(map(tuple, fact["places"])))
        elif "refused" in fact:
            mark = fact["refused"]
            self._current[label].discard(mark)
            self.operations[mark] = replace(self.operations[mark], refused=True)
            self.answers[fact["why"]] += 1
        elif "surprise" in fact:
            self.surprises.append(f"{label}: {fact['surprise']}")
            self.locked += fact["locked"]
            # It may have happened or not: as if its writer had been killed.
            self._current[label] -= set(fact["marks"])
        return "done" in fact or "refused" in fact

    def _acknowledge(self, label: str, mark: str, places: tuple[Place, ...]) -> None:
        known = self.operations[mark]
        self._current[label].discard(mark)
        self.answers["acknowledged"] += 1
        if len(places) != len(known.types):
            self.surprises.append(f"{mark}: {len(places)} events acknowledged of {known.types}")
        if known.places not in (None, places):
            self.surprises.append(f"{mark}: acknowledged at {known.places}, then at {places}")
        self.operations[mark] = replace(known, places=places, required=True)

    def ended(self, label: str) -> None:
        """A child is gone; what it had begun has no answer."""
        self.in_flight |= self._current.pop(label, set())

    def unanswered(self) -> Iterator[Operation]:
        """What was in flight and nobody else has been told of either."""
        for mark in sorted(self.in_flight):
            operation = self.operations[mark]
            if operation.places is None and not operation.refused:
                yield operation

    def acknowledged(self) -> set[str]:
        return {mark for mark, each in self.operations.items() if each.required}

    def restored(self, required: Collection[str]) -> Ledger:
        """A ledger of the same log restored from a dump: what must be there is what had been
        acknowledged before the dump began; what came later is in it or not."""
        copy = Ledger()
        copy.operations = {
            mark: replace(each, required=mark in required) for mark, each in self.operations.items()
        }
        return copy
