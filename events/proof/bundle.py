"""Writes bundles: events with the proof that they are in the log, for `turnlog.events.verify`.

Events are written in order of position, so the tree is walked once, from left to right. An event in
the bundle is a leaf. The positions between two events are replaced by the hashes of the subtrees
that they fill. A bundle of the whole log therefore needs no other proof, and a bundle of one
conversation takes no more than the inclusion proofs of its events together.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from json.encoder import encode_basestring
from typing import IO, Any

from ...core import retrying
from ...core.codec.blobs import base64_of
from ...core.errors import BlobFileError, ConfigurationError, LogDamaged
from ..store.sequence import sequence
from ..tables.content import texts_of
from . import rows, tables
from .blobs import bytes_of, has_blobs
from .lines import MAX_LINE, BundleError, blobs_named, object_of
from .merkle import skipped
from .notes import Checkpoint, NoteError, PublicKey, UnknownKey, open_checkpoint
from .raw import snapshot
from .rows import EPOCH, Row
from .streams import named_versions
from .tiles import StoredTree
from .walk import FORMAT, Verification


class ErasureNotSeen(LogDamaged):
    """A payload is gone, but no PayloadErased names it; or none that has a position yet."""


@dataclass(frozen=True)
class Selection:
    """The events to export: `where` is turnlog's own SQL over `turnlog_event e`; empty for all.

    `complete` says what the bundle promises to hold: the whole log, all of some conversations, or
    just the events in it. `scope` describes the same as the caller asked for it. `erasures` is SQL
    for the PayloadErased events that may name erased events of the selection.
    """

    complete: str = "log"
    where: str = ""
    scope: dict[str, Any] = field(default_factory=dict)
    erasures: str = ""


@dataclass
class Written:
    """The numbers of events and conversations in a bundle, and the size of its checkpoint."""

    events: int = 0
    conversations: int = 0
    size: int = 0


def write_bundle(
    out: IO[bytes],
    selection: Selection,
    known: Sequence[PublicKey],
    tick: Callable[[int], object] = lambda events: None,
) -> Written:
    """Write committed events, proven by the last signed checkpoint as far as it covers them.

    Writes as it reads: memory grows with the number of conversations (some 400 bytes each) and of
    erased events, not with their length. Each line is checked as the bundle's verifier will check
    it, so no bundle is written that the verifier refuses.

    Raises ConfigurationError if there is no checkpoint or its public key is not known, LogDamaged
    if an event is not what was recorded or the log does not match the checkpoint.
    """
    with snapshot():
        note, checkpoint, key = _checkpoint(known)
        return _Writer(out, selection, checkpoint, tick).write(note, key)


def seeing_erasures(write: Callable[[], Written]) -> Written:
    """Write a bundle into a new file, again if something was erased meanwhile, and return what was
    written. Raises what `write_bundle` raises.

    An erasure that has no position yet is in the next try; one that was not recorded is in none.
    """
    for left in reversed(range(retrying.ERASED_MEANWHILE)):
        sequence()
        try:
            return write()
        except ErasureNotSeen:
            if not left:
                raise
    raise AssertionError  # The last try returned or raised.


def _checkpoint(known: Sequence[PublicKey]) -> tuple[str, Checkpoint, PublicKey]:
    stored = tables.last_checkpoint()
    if stored is None:
        raise ConfigurationError(
            "expected a signed checkpoint for the bundle's proof, found none; run"
            " `manage.py checkpoint_log` first"
        )
    pk, _, note = stored
    try:
        return note, *open_checkpoint(note, known)
    except UnknownKey as error:
        raise ConfigurationError(f"signed checkpoint {pk}: {error}") from None
    except NoteError as error:
        raise LogDamaged(f"signed checkpoint {pk}: {error}") from None


class _Writer:
    def __init__(
        self,
        out: IO[bytes],
        selection: Selection,
        checkpoint: Checkpoint,
        tick: Callable[[int], object],
    ) -> None:
        self.out, self.selection, self.checkpoint, self.tick = out, selection, checkpoint, tick
        self.tree = StoredTree(checkpoint.size)
        self.at = 0
        self.written = Written(size=checkpoint.size)
        self.heads: dict[int, int] = {}
        self.erased: set[tuple[int, int]] = set()
        self.texts: set[str] = set()
        self.blobs_written: set[str] = set()
        # What the bundle's verifier would say: it is asked while the bundle is written.
        self.verification = Verification()
        self.number = 0

    def write(self, note: str, key: PublicKey) -> Written:
        root = self.tree.root()
        if root != self.checkpoint.root:
            raise LogDamaged(
                f"expected a log whose first {self.checkpoint.size} events have the root"
                f" {self.checkpoint.root.hex()}, found {root.hex()}; run verify_log for details"
            )
        self.line(
            {
                "format": FORMAT,
                "complete": self.selection.complete,
                "scope": self.selection.scope,
                "checkpoint": note,
                "key": str(key),
            }
        )
        for row in self.rows():
            self.event(row)
            if self.written.events % 1000 == 0:
                self.tick(1000)
        self.skip(self.checkpoint.size)
        for stream_id, version in sorted(self.erased):
            raise ErasureNotSeen(
                f"conversation {stream_id}, version {version}: the payload is gone; expected a"
                " PayloadErased that names this version, found none; run verify_log for details"
            )
        counted = {
            "events": self.written.events,
            "conversations": self.written.conversations,
        }
        self.line({"end": counted})
        self.verification.finish()
        self.tick(self.written.events % 1000)
        return self.written

    def rows(self) -> Iterator[Row]:
        selected = self.placed(self.selection.where)
        if not self.selection.erasures:
            yield from selected
            return
        last = None
        others = ((row, True) for row in self.placed(self.selection.erasures))
        both = heapq.merge(((row, False) for row in selected), others, key=_place)
        for row, only_names in both:
            # A requested event comes before its duplicate. The other records are written only if
            # they are needed: the reason of an erasure may concern other people.
            if row.position != last and not (only_names and self.erased.isdisjoint(_named(row))):
                yield row
            last = row.position

    def placed(self, where: str) -> Iterator[Row]:
        # Events that were committed after the last positions were given have none yet. The next
        # bundle has them.
        placed = "p.position IS NOT NULL"
        condition = f"({where}) AND {placed}" if where else placed
        for row in rows.events(f"WHERE {condition}", by_position=True):
            yield Row._make(row)

    def event(self, row: Row) -> None:
        if row.unreadable or row.position is None:
            raise _unreadable(row, ", ".join(row.unreadable or ("position",)))
        position: int | None = None
        if row.position <= self.checkpoint.size:
            self.skip(row.position - 1)
            position = self.at = row.position
        else:
            self.skip(self.checkpoint.size)
        if row.payload is None:
            self.erased.add((row.stream_id, row.version))
        elif row.type == b"PayloadErased":
            self.erased -= _named(row)
        elif row.type == b"TurnStarted":
            self.content(row)
        if has_blobs(row.payload):
            self.blobs(row)
        try:
            line = _line(row, position, self.previous(row))
        except UnicodeDecodeError:
            raise _unreadable(row, "its text") from None
        if len(line) > MAX_LINE:
            raise _too_long(row, f"an event of at most {MAX_LINE} bytes", len(line))
        self.put(line)
        self.written.events += 1

    def previous(self, row: Row) -> bytes | None:
        """The hash of the event before this one; None if the bundle has that event."""
        if self.selection.complete == "log":
            # The bundle has every stream from its beginning, so there is nothing to remember.
            self.written.conversations += row.version == 1
            return None
        last = self.heads.get(row.stream_id)
        self.heads[row.stream_id] = row.version
        self.written.conversations = len(self.heads)
        if row.version == (last or 0) + 1:
            return None
        where = f"WHERE e.stream_id = {row.stream_id} AND e.version = {row.version - 1}"
        before = rows.first(where)
        return None if before is None else before.hash

    def skip(self, until: int) -> None:
        """Write the hashes that replace the next positions, up to `until`."""
        if until <= self.at:
            return
        if self.selection.complete == "log":
            raise LogDamaged(
                f"expected an event at position {self.at + 1}, found none; run verify_log for"
                " details"
            )
        hashes = []
        begin = self.at
        for level in skipped(begin, until):
            hashes.append(self.tree.node(level, begin >> level).hex())
            begin += 1 << level
        self.line({"skip": hashes, "until": until})
        self.at = until

    def content(self, row: Row) -> None:
        """Write the long texts that a TurnStarted refers to, each once in the bundle."""
        try:
            keys = {*texts_of(row.payload or b"").values()} - self.texts
            if not all(map(_DIGEST.fullmatch, keys)):
                raise ValueError
        except (ValueError, RecursionError):
            raise _unreadable(row, "its payload") from None
        if not keys:
            return
        for digest, text in tables.texts(keys):
            key = digest.decode()
            try:
                said = text.decode()
            except UnicodeDecodeError:
                said = ""
            if sha256(said.encode()).hexdigest() != key:
                raise LogDamaged(
                    f"expected the text with digest {key} in turnlog_content, found another one;"
                    " run verify_log for details"
                )
            self.texts.add(key)
            self.line({"content": said, "sha256": key})

    def blobs(self, row: Row) -> None:
        """Write the blobs that a payload refers to, each once in the bundle."""
        for key in sorted(blobs_named(row.payload or b"") - self.blobs_written):
            try:
                data = b"".join(bytes_of(key))
            except (KeyError, BlobFileError) as error:
                why = "there is none" if isinstance(error, KeyError) else error
                raise LogDamaged(
                    f"conversation {row.stream_id}, version {row.version}: expected the blob {key},"
                    f" found that {why}; run verify_log for details"
                ) from None
            if len(data) > _MOST_BYTES:
                raise _too_long(row, f"a blob of at most {_MOST_BYTES} bytes", len(data))
            self.blobs_written.add(key)
            self.line({"blob": "".join(base64_of(data)), "sha256": key})

    def line(self, value: dict[str, Any]) -> None:
        self.put(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def put(self, line: bytes) -> None:
        """Write a line, unless the verifier would refuse the bundle because of it."""
        self.number += 1
        try:
            self.verification.line(self.number, object_of(self.number, line))
        except BundleError as error:
            what = str(error).removeprefix(f"line {self.number}: ")
            raise LogDamaged(
                f"{what}; no bundle was written: run `manage.py verify_log` for details"
            ) from None
        self.out.write(line)


_MOST_BYTES = (MAX_LINE - 200) // 4 * 3
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _place(row: tuple[Row, bool]) -> tuple[int | None, bool]:
    return row[0].position, row[1]


def _named(row: Row) -> set[tuple[int, int]]:
    """The (stream_id, version) of each event that a PayloadErased names."""
    return {(row.stream_id, version) for version in named_versions(row.payload or b"")}


def _too_long(row: Row, expected: str, found: int) -> ConfigurationError:
    return ConfigurationError(
        f"conversation {row.stream_id}, version {row.version}: expected {expected}, the most that"
        f" verifiers read, found {found}; leave this conversation out"
    )


def _unreadable(row: Row, what: str) -> LogDamaged:
    return LogDamaged(
        f"conversation {row.stream_id}, version {row.version}: {what} cannot be read; run"
        " verify_log for details"
    )


def _line(row: Row, position: int | None, previous: bytes | None) -> bytes:
    """An event's line of JSON. Built by hand, because an export spends most of its time here."""
    before = "" if previous is None else f',"previous":"{previous.hex()}"'
    return (
        f'{{"position":{"null" if position is None else position},"stream_id":{row.stream_id},'
        f'"version":{row.version},"type":{_text(row.type)},"schema":{row.schema},'
        f'"turn_id":{_id(row.turn_id)},"actor_id":{_id(row.actor_id)},'
        f'"recorded_at":{row.recorded_at + EPOCH},"payload":{_text(row.payload)},'
        f'"metadata":{_text(row.metadata)},"salt":{_hex(row.salt)},'
        f'"digest":{_hex(row.digest)},"hash":{_hex(row.hash)}{before}}}\n'
    ).encode()


def _text(value: bytes | None) -> str:
    return "null" if value is None else encode_basestring(value.decode())


def _hex(value: bytes | None) -> str:
    return "null" if value is None else f'"{value.hex()}"'


def _id(value: bytes | None) -> str:
    if value is None:
        return "null"
    digits = value.hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return f'"{"-".join(parts)}"'
