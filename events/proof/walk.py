"""Checks a bundle: walks over the tree from left to right, and along each stream's chain.

Needs neither Django nor a database, because `turnlog.events.verify` needs neither.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, NoReturn

from ...core.terminal import counted
from ..store.hashing import GENESIS, raw_event_hash
from ..types import NEVER_ERASED
from .lines import (
    BLOB_MARK,
    PAYLOAD_DECODER,
    NoBundle,
    OtherKey,
    base64_bytes,
    blobs_named,
    fits,
    hash_bytes,
    is_plain,
    objects,
    require,
    utf8,
    uuid_bytes,
    wrong,
)
from .merkle import Growing, leaf_hash, skipped
from .notes import NoteError, PublicKey, UnknownKey, open_checkpoint

FORMAT = "turnlog bundle v1"
COMPLETE = {
    "log": "the whole log",
    "conversations": "each from its beginning",
    "selection": "a selection",
}
"""What a bundle may promise to hold, and the words for it in the result."""

_EVENT = {
    "position": (int, type(None)),
    "stream_id": (int,),
    "version": (int,),
    "type": (str,),
    "schema": (int,),
    "turn_id": (str, type(None)),
    "actor_id": (str, type(None)),
    "recorded_at": (int,),
    "payload": (str, type(None)),
    "metadata": (str,),
    "salt": (str, type(None)),
    "digest": (str,),
    "hash": (str,),
}
# The same, for a fast check: nearly every line is an event.
_NAMES = tuple(_EVENT)
_USUAL = set(itertools.product(*_EVENT.values()))
_MANIFEST: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "complete": (str,),
    "scope": (dict,),
    "checkpoint": (str,),
    "key": (str,),
}


@dataclass
class Result:
    """What an intact bundle holds, and the signed checkpoint that proves it."""

    events: int = 0
    conversations: int = 0
    erased: int = 0
    erased_unsigned: int = 0
    """Erased events whose PayloadErased came after the signed checkpoint."""
    proven: int = 0
    """Events that the signed checkpoint covers; the others came after it."""
    complete: str = ""
    scope: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    size: int = 0
    root: str = ""
    key: str = ""
    trusted: bool = False
    """Whether the caller passed the key; if not, it only comes with the bundle."""

    def sentence(self) -> str:
        """The result in one line."""
        newer = self.events - self.proven
        said = f"intact: {counted(self.events, 'event')}"
        said += f" in {counted(self.conversations, 'conversation')}"
        said += f", {COMPLETE[self.complete]}"
        if self.erased:
            said += f", {self.erased} of the events erased"
        if self.erased_unsigned:
            said += f" ({self.erased_unsigned} by events that are not signed yet)"
        said += f"; {self.proven} proven by the checkpoint of {self.origin}"
        said += f" at {counted(self.size, 'event')}"
        if newer:
            said += f", {newer} newer and not signed yet"
        if self.trusted:
            return f"{said}; signed with your key {self.key}"
        return f"{said}; signed with the key {self.key}: make sure that this is the log's key"


def verify(file: BinaryIO, keys: Sequence[PublicKey] = ()) -> Result:
    """Check a whole bundle. Raises BundleError at the first problem.

    The checkpoint must be signed by the bundle's own key and, with `keys`, also by one of these.
    """
    verification = Verification(keys)
    for number, line in objects(file):
        verification.line(number, line)
    return verification.finish()


_BEGINNING = (0, GENESIS, -(1 << 63))  # Version, hash and time before a stream's first event.


class Verification:
    """The walk through a bundle: over the tree from left to right, and along each chain.

    Give it each `line`, then call `finish`.
    """

    def __init__(self, keys: Sequence[PublicKey] = ()) -> None:
        self.number = 0
        self.ended = False
        self.keys = keys
        self.result = Result()
        self.root = b""
        self.tree = Growing()
        self.heads: dict[int, tuple[int, bytes, int]] = {}
        self.erased: set[tuple[int, int]] = set()
        self.wanted: set[int] | None = None
        self.contents: set[bytes] = set()
        self.blobs: set[bytes] = set()
        self.needed: dict[bytes, tuple[int, int]] = {}
        """The blobs that events refer to, and the first of these events."""
        self.skipped = -1  # The size of the tree after the last skip.

    def line(self, number: int, line: dict[str, Any]) -> None:
        """Check the next line, whose number is from 1 on. Raises BundleError."""
        self.number = number
        if self.ended:
            wrong(number, "expected nothing after the end, found another line")
        if number == 1:
            self.begin(number, line)
        elif "stream_id" in line:
            self.event(number, line)
        elif "skip" in line:
            self.skip(number, line)
        elif "content" in line:
            self.content(number, line)
        elif "blob" in line:
            self.blob(number, line)
        elif "end" in line:
            self.end(number, line)
            self.ended = True
        else:
            found = ", ".join(line)[:200] or "no name"
            wrong(number, f"expected an event, a skip, a content, a blob or the end, found {found}")

    def finish(self) -> Result:
        """Return the result once every line was given. Raises BundleError if there was no end."""
        if not self.number:
            raise NoBundle("expected a file that export_log wrote, found an empty one")
        if not self.ended:
            wrong(self.number + 1, "expected the end, found the end of the file: it was cut off")
        return self.result

    def begin(self, number: int, line: dict[str, Any]) -> None:
        """Check the manifest: the format, the scope, and the signed checkpoint."""
        if line.get("format") != FORMAT:
            found = repr(line["format"])[:80] if "format" in line else "no format"
            raise NoBundle(
                f"expected a file that export_log wrote, of the format {FORMAT!r}, found {found}"
            )
        require(number, line, _MANIFEST)
        if line["complete"] not in COMPLETE:
            found = repr(line["complete"])[:80]
            wrong(number, f"expected `complete` to be one of {', '.join(COMPLETE)}, found {found}")
        self.scope(number, line["complete"], line["scope"])
        utf8(number, line["key"])
        utf8(number, line["checkpoint"])
        try:
            own = PublicKey.parse(line["key"])
            checkpoint, key = open_checkpoint(line["checkpoint"], [own])
            if self.keys:
                checkpoint, key = open_checkpoint(line["checkpoint"], self.keys)
        except UnknownKey as error:
            if self.keys and own.name == line["checkpoint"].partition("\n")[0]:
                raise _other_key(own, self.keys) from None
            wrong(number, str(error))
        except NoteError as error:
            wrong(number, str(error))
        self.root = checkpoint.root
        self.result = Result(
            complete=line["complete"],
            scope=line["scope"],
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            key=str(key),
            trusted=bool(self.keys),
        )

    def scope(self, number: int, complete: str, scope: dict[str, Any]) -> None:
        """Check the scope: nothing, some conversations, or the exporter's own description."""
        if complete == "log":
            if scope:
                found = ", ".join(scope)[:200]
                wrong(number, f"expected an empty `scope`, as of a whole log, found {found}")
        elif complete == "conversations":
            named: Any = scope.get("conversations")
            listed = type(named) is list and all(type(each) is int and fits(each) for each in named)
            if len(scope) != 1 or not listed or named != sorted(set(named)):
                wrong(
                    number,
                    "expected `scope` to name conversations, in order of their numbers, found"
                    " something else",
                )
            self.wanted = set(named)
        # Flat, so that verifiers need not agree on how deep is too deep.
        elif not all(
            is_plain(each)
            for value in scope.values()
            for each in (value if type(value) is list else [value])
        ):
            wrong(
                number,
                "expected texts, 64-bit whole numbers or lists of them in `scope`, found something"
                " else",
            )

    def event(self, number: int, line: dict[str, Any]) -> None:
        """Check one event: payload and digest, the chain, and its place in the tree."""
        if tuple(map(type, line.values())) not in _USUAL or tuple(line) != _NAMES:
            require(number, line, {**_EVENT, "previous": (str,)} if "previous" in line else _EVENT)
        stream_id, payload, salt = line["stream_id"], line["payload"], line["salt"]
        digest = hash_bytes(number, line["digest"])
        if payload is None and salt is None:
            if line["type"] in NEVER_ERASED:
                _wrong_event(
                    number,
                    line,
                    f"expected a payload, because {line['type']} is never erased, found none",
                )
            self.result.erased += 1
            self.erased.add((stream_id, line["version"]))
        elif payload is None or salt is None:
            _wrong_event(number, line, "expected both payload and salt, or neither, found one")
        else:
            text = utf8(number, payload)
            if sha256(hash_bytes(number, salt) + text).digest() != digest:
                _wrong_event(number, line, "the payload is not the one that was recorded")
            if line["type"] == "PayloadErased":
                self.forgive(number, line)
            if BLOB_MARK in text:
                for key in map(bytes.fromhex, blobs_named(text)):
                    self.needed.setdefault(key, (stream_id, line["version"]))
        previous = self.previous(number, line)
        try:
            hash_ = raw_event_hash(
                previous,
                stream_id,
                line["version"],
                line["recorded_at"],
                line["schema"],
                uuid_bytes(number, line["turn_id"]),
                uuid_bytes(number, line["actor_id"]),
                digest,
                utf8(number, line["type"]),
                utf8(number, line["metadata"]),
            )
        except struct.error:
            _wrong_event(number, line, "expected numbers that fit into the hash, found larger ones")
        if hash_.hex() != line["hash"]:
            _wrong_event(number, line, "it was changed, or does not follow the event before it")
        self.heads[stream_id] = line["version"], hash_, line["recorded_at"]
        self.place(number, line["position"], hash_)
        self.result.events += 1

    def previous(self, number: int, line: dict[str, Any]) -> bytes:
        """The hash of the event before this one: the last of its stream, if that is it."""
        version, hash_, clock = self.heads.get(line["stream_id"], _BEGINNING)
        if line["recorded_at"] < clock:
            _wrong_event(
                number,
                line,
                "expected a time that is not before the previous event's, found an earlier one",
            )
        if line["version"] == version + 1:
            if "previous" in line:
                _wrong_event(
                    number, line, "expected no `previous`, as the bundle has that event, found one"
                )
            return hash_
        if self.result.complete != "selection" or line["version"] <= version:
            _wrong_event(number, line, f"expected version {version + 1}, found {line['version']}")
        if "previous" not in line:
            _wrong_event(
                number, line, "expected `previous`, as the bundle lacks that event, found none"
            )
        return hash_bytes(number, line["previous"])

    def place(self, number: int, position: int | None, hash_: bytes) -> None:
        """Put the event's leaf into the tree, at the position where it must be."""
        if position is None:
            if self.tree.size != self.result.size:
                wrong(
                    number,
                    f"expected the event at position {self.tree.size + 1}, found one without a"
                    " position",
                )
            return
        if position != self.tree.size + 1 or position > self.result.size:
            wrong(number, f"expected position {self.tree.size + 1}, found {position}")
        self.tree.add(leaf_hash(hash_))
        self.result.proven += 1

    def skip(self, number: int, line: dict[str, Any]) -> None:
        """Add the hashes that replace positions which are not in the bundle."""
        require(number, line, {"skip": (list,), "until": (int,)})
        if self.result.complete == "log":
            wrong(number, "expected the whole log, found positions left out")
        begin, end = self.tree.size, line["until"]
        if begin == self.skipped:
            wrong(number, "expected an event or the end after a skip, found another skip")
        self.skipped = end
        if not begin < end <= self.result.size:
            wrong(number, f"expected `until` from {begin + 1} to {self.result.size}, found {end}")
        levels = list(skipped(begin, end))
        if len(levels) != len(line["skip"]):
            wrong(number, f"expected {len(levels)} hashes, found {len(line['skip'])}")
        for level, hash_ in zip(levels, line["skip"], strict=True):
            self.tree.add(hash_bytes(number, hash_), level)

    def content(self, number: int, line: dict[str, Any]) -> None:
        """Check a text that events refer to by its digest."""
        require(number, line, {"content": (str,), "sha256": (str,)})
        digest = hash_bytes(number, line["sha256"])
        if sha256(utf8(number, line["content"])).digest() != digest:
            wrong(number, "expected a text that has the digest beside it, found another one")
        if digest in self.contents:
            wrong(number, "expected each content once, found one twice")
        self.contents.add(digest)

    def blob(self, number: int, line: dict[str, Any]) -> None:
        """Check the bytes that events refer to by their digest."""
        require(number, line, {"blob": (str,), "sha256": (str,)})
        digest = hash_bytes(number, line["sha256"])
        if sha256(base64_bytes(number, line["blob"])).digest() != digest:
            wrong(number, "expected a blob that has the digest beside it, found another one")
        if digest in self.blobs:
            wrong(number, "expected each blob once, found one twice")
        self.blobs.add(digest)

    def forgive(self, number: int, line: dict[str, Any]) -> None:
        """Accept the missing payloads that a PayloadErased names."""
        named: Any = None
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            named = PAYLOAD_DECODER.decode(line["payload"])["versions"]
        if type(named) is not list or not all(type(version) is int for version in named):
            _wrong_event(number, line, "expected a PayloadErased with versions, found none")
        places = ((line["stream_id"], version) for version in named)
        found = {place for place in places if place in self.erased}
        self.erased -= found
        if line["position"] is None:
            self.result.erased_unsigned += len(found)

    def end(self, number: int, line: dict[str, Any]) -> None:
        """Check that everything was there and that the root is the signed one."""
        result = self.result
        require(number, line, {"end": (dict,)})
        require(number, line["end"], {"events": (int,), "conversations": (int,)})
        counted = {"events": result.events, "conversations": len(self.heads)}
        if line["end"] != counted:
            counts = (f"{name}: {value}" for name, value in line["end"].items())
            found = ", ".join(counts)
            expected = ", ".join(f"{name}: {value}" for name, value in counted.items())
            wrong(number, f"expected the counts {expected}, found {found}")
        if self.tree.size != result.size:
            wrong(number, f"expected positions up to {result.size}, found {self.tree.size}")
        if self.tree.root() != self.root:
            wrong(number, "these events are not the ones in the tree that the checkpoint signs")
        if self.wanted is not None and self.wanted != set(self.heads):
            wrong(number, "expected the conversations that `scope` names, found others")
        if self.erased:
            stream_id, version = min(self.erased)
            wrong(
                number,
                f"conversation {stream_id}, version {version}: the payload is gone; expected a"
                " PayloadErased that names this version, found none",
            )
        for digest, (stream_id, version) in self.needed.items():
            if digest not in self.blobs:
                wrong(
                    number,
                    f"conversation {stream_id}, version {version}: expected the blob"
                    f" {digest.hex()}, found none",
                )
        result.conversations = len(self.heads)


def _other_key(own: PublicKey, keys: Sequence[PublicKey]) -> OtherKey:
    if all(key.name != own.name for key in keys):
        names = ", ".join(sorted({key.name for key in keys}))
        return OtherKey(
            f"expected a bundle of the log {names}, as your key is, found one of the log {own.name}"
        )
    return OtherKey(
        f"expected the signature of {', '.join(map(str, keys))}, found that of {own}; if the log's"
        " key was replaced, ask for the other key by a way that you trust"
    )


def _wrong_event(number: int, line: dict[str, Any], what: str) -> NoReturn:
    wrong(number, f"conversation {line['stream_id']}, version {line['version']}: {what}")
