"""Receipts of erasures: what was erased, where, when, by whom and why, but never the words.

Each can be made from events of the log, `PayloadErased`. Kept outside the database as well, a
receipt says what to erase again after an older backup is restored.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Self, TypeVar

from ...core.errors import ReceiptRefused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ErasedEvent:
    """An event without its payload. `digest` is in hex; without the salt it reveals no words."""

    version: int
    type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """The `PayloadErased` that records an erasure: its version, and its hash in hex."""

    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """An erasure in one conversation. `by` is an actor id; `forks` has the receipts of the copies.

    `turns` are all erased turns. `quoting` are those among them that were not named, but whose
    model had been given words that may quote the named ones. `opening` is the hash, in hex, of the
    conversation's first event, which is different in another log.
    """

    conversation: int
    reason: str
    by: uuid.UUID | None = None
    at: dt.datetime | None = None
    records: tuple[Record, ...] = ()
    events: tuple[ErasedEvent, ...] = ()
    turns: tuple[uuid.UUID, ...] = ()
    quoting: tuple[uuid.UUID, ...] = ()
    title: bool = False
    opening: str = ""
    forks: tuple[Receipt, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was erased."""
        return bool(self.events or self.title or self.forks)

    def whole(self) -> Iterator[Receipt]:
        """This receipt and those of the forks."""
        yield self
        for fork in self.forks:
            yield from fork.whole()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it."""
        return {
            "conversation": self.conversation,
            "reason": self.reason,
            "by": self.by and str(self.by),
            "at": self.at and self.at.isoformat(),
            "records": [{"version": r.version, "hash": r.hash} for r in self.records],
            "events": [
                {"version": e.version, "type": e.type, "digest": e.digest} for e in self.events
            ],
            "turns": [str(turn) for turn in self.turns],
            "quoting": [str(turn) for turn in self.quoting],
            "title": self.title,
            "opening": self.opening,
            "forks": [fork.as_dict() for fork in self.forks],
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """The receipt that `as_dict` was called on. Raises ReceiptRefused if it is malformed."""
        try:
            return cls(
                conversation=_number(stored["conversation"]),
                reason=_text(stored["reason"]),
                by=_actor(stored["by"]),
                at=None if stored["at"] is None else dt.datetime.fromisoformat(stored["at"]),
                records=tuple(
                    Record(_version(r["version"]), _text(r["hash"])) for r in stored["records"]
                ),
                events=tuple(
                    ErasedEvent(_version(e["version"]), _text(e["type"]), _text(e["digest"]))
                    for e in stored["events"]
                ),
                turns=tuple(map(uuid.UUID, stored["turns"])),
                quoting=tuple(map(uuid.UUID, stored["quoting"])),
                title=_is_true(stored["title"]),
                opening=_text(stored["opening"]),
                forks=tuple(map(cls.from_dict, stored["forks"])),
            )
        except _NO_RECEIPT as error:
            raise _refused(error) from error


def merged(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt of several in the same conversation, one after another."""
    if len(receipts) == 1:
        return receipts[0]
    forks: dict[int, list[Receipt]] = {}
    for fork in itertools.chain.from_iterable(receipt.forks for receipt in receipts):
        forks.setdefault(fork.conversation, []).append(fork)
    return replace(
        receipts[0],
        at=next((receipt.at for receipt in receipts if receipt.at), None),
        records=_joined(receipt.records for receipt in receipts),
        events=tuple(sorted(_joined(r.events for r in receipts), key=attrgetter("version"))),
        turns=_joined(receipt.turns for receipt in receipts),
        quoting=_joined(receipt.quoting for receipt in receipts),
        title=any(receipt.title for receipt in receipts),
        opening=next((receipt.opening for receipt in receipts if receipt.opening), ""),
        forks=tuple(map(merged, forks.values())),
    )


def _joined(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(parts)))


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A user was forgotten: `actor` is the former pseudonym, `by` an actor id."""

    actor: uuid.UUID
    at: dt.datetime
    by: uuid.UUID | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it."""
        return {
            "forgotten": str(self.actor),
            "at": self.at.isoformat(),
            "by": self.by and str(self.by),
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """The receipt that `as_dict` was called on. Raises ReceiptRefused if it is malformed."""
        try:
            return cls(
                actor=uuid.UUID(stored["forgotten"]),
                at=dt.datetime.fromisoformat(stored["at"]),
                by=_actor(stored["by"]),
                reason=_text(stored["reason"]),
            )
        except _NO_RECEIPT as error:
            raise _refused(error) from error


def receipt_of(stored: Any) -> Receipt | Forgotten:
    """The receipt in a parsed line of JSON. Raises ReceiptRefused if it is malformed."""
    if isinstance(stored, dict) and "forgotten" in stored:
        return Forgotten.from_dict(stored)
    return Receipt.from_dict(stored)


_NO_RECEIPT = (AttributeError, KeyError, RecursionError, TypeError, ValueError)


def _refused(error: Exception) -> ReceiptRefused:
    return ReceiptRefused(
        "expected a receipt as written by `erasure_receipts`, found something else"
        f" ({type(error).__name__}: {error})"
    )


def _actor(value: Any) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(value)


def _is_true(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _number(value: Any, bits: int = 63) -> int:
    if type(value) is not int or not 0 < value < 1 << bits:
        raise ValueError(f"{value!r} is not the number of a conversation or a version")
    return value


def _version(value: Any) -> int:
    return _number(value, bits=31)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
