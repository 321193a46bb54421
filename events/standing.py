"""How a stream stands just before an append: the facts that a decision is based on.

A standing is read in one statement, or remembered from this process's last append. A remembered one
may be outdated, but does no harm: an append that uses it compares the head's hash.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from ..core.faults import Busy
from ..core.hurry import LOCK_MILLISECONDS, is_hurried
from .store.hashing import GENESIS
from .tables.event import Event
from .types import RUNNING_TYPES, WAITING_TYPE

# Streams remembered in one process, at most; each takes about half a kilobyte.
_REMEMBERED = 10_000
# Seconds for which a stream counts as contended after this process has lost a race for it.
_CONTENDED_SECONDS = 1.0


class AskedTurn(NamedTuple):
    """A turn that the stream has: the type of its last event, whose it is, whether it is erased."""

    state: str
    actor_id: uuid.UUID | None
    erased: bool = False


class OpenTurn(NamedTuple):
    """The turn that has not ended, and whether the process that answers it is gone, or whether it
    waits for a person: then no process answers it."""

    turn_id: uuid.UUID | None
    actor_id: uuid.UUID | None
    runner: str | None
    gone: bool = False
    waits: bool = False


class Standing(NamedTuple):
    """The head of a stream (version 0: it has no events), the turn that was asked about, if the
    stream has it, the open turn, if there is one, and the version at which a branch was last chosen
    (0: never)."""

    version: int = 0
    hash: bytes = GENESIS
    recorded_at: dt.datetime | None = None
    turn: AskedTurn | None = None
    opened: OpenTurn | None = None
    branched: int = 0

    def after(self, events: Sequence[Event]) -> Standing:
        """Return the standing after these events are appended, without an asked turn."""
        opened, branched = self.opened, self.branched
        for event in events:
            if event.type in RUNNING_TYPES:
                runner = event.meta.get("runner")
                opened = OpenTurn(event.turn_id, event.actor_id, runner)
            elif event.type == "BranchChosen":
                branched = event.version
            elif opened is not None and (event.type, event.turn_id) == (
                WAITING_TYPE,
                opened.turn_id,
            ):
                opened = OpenTurn(event.turn_id, opened.actor_id, None, waits=True)
            elif opened is not None and event.turn_id == opened.turn_id:
                opened = None
        head = events[-1]
        hash_ = bytes(head.hash)
        return Standing(head.version, hash_, head.recorded_at, None, opened, branched)

    def asked(self, turn_id: uuid.UUID | None) -> Standing | None:
        """Return this standing with an asked turn, or None if the stream must be read for it.

        A standing knows the open turn and no other. It does not know whether another process still
        answers the turn that it remembers as open.
        """
        if turn_id is None:
            return self if self.opened is None else None
        if self.opened is None or self.opened.turn_id != turn_id or self.opened.waits:
            return None
        return self._replace(turn=AskedTurn("TurnStarted", self.opened.actor_id))


@dataclass(slots=True)
class _Entry:
    standing: Standing
    contended_until: float = 0.0


class Memory:
    """The standings after this process's own latest appends."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._lock = threading.Lock()
        self._alone: WeakValueDictionary[int, Any] = WeakValueDictionary()

    @contextlib.contextmanager
    def alone(self, stream_id: int) -> Iterator[None]:
        """Keep this process's other threads from appending by the same memory: all but one of them
        would find it outdated. The lock lives as long as it is held or waited for.

        Raises Busy in a thread that must not wait for long.
        """
        with self._lock:
            lock: Any = self._alone.setdefault(stream_id, threading.RLock())
        if not lock.acquire(timeout=LOCK_MILLISECONDS / 1000 if is_hurried() else -1):
            raise Busy(f"another thread is appending to conversation {stream_id}")
        try:
            yield
        finally:
            lock.release()

    def recall(self, stream_id: int, turn_id: uuid.UUID | None) -> Standing | None:
        """Return the remembered standing, if a decision needs no more than that."""
        entry = self._entries.get(stream_id)
        return entry.standing.asked(turn_id) if entry is not None else None

    def keep(self, stream_id: int, standing: Standing) -> None:
        """Remember how a stream stands after an append that is committed."""
        with self._lock:
            before = self._entries.pop(stream_id, None)
            until = before.contended_until if before is not None else 0.0
            self._entries[stream_id] = _Entry(standing, until)
            if len(self._entries) > _REMEMBERED:
                del self._entries[next(iter(self._entries))]

    def lost(self, stream_id: int) -> None:
        """Note that another writer was faster."""
        with self._lock:
            entry = self._entries.setdefault(stream_id, _Entry(Standing()))
            entry.contended_until = time.monotonic() + _CONTENDED_SECONDS

    def is_contended(self, stream_id: int) -> bool:
        """Whether this process has just lost a race for the stream."""
        entry = self._entries.get(stream_id)
        return entry is not None and time.monotonic() < entry.contended_until


memory = Memory()
