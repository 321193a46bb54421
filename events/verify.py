"""Checks a bundle that `export_log` wrote: without Django, without a database, offline.

    python -m turnlog.events.verify FILE [--key PUBLIC_KEY] [--json]

Needs nothing but Python's standard library and, for the signature, `cryptography`. Reads the file
once, line by line; memory grows with the number of conversations in it (some 200 bytes each), not
with their length. The rules are those of turnlog's documentation, "The bundle's format"; whoever
writes another verifier goes by that page.

Exit code 0: intact. 1: not what it claims to be. 2: could not run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import io
import itertools
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, NoReturn

from ..core.terminal import safe
from .hashing import GENESIS, raw_event_hash
from .proof.merkle import Growing, leaf_hash, skipped
from .proof.notes import NoteError, PublicKey, open_checkpoint

FORMAT = "turnlog bundle v1"
COMPLETE = {
    "log": "the whole log",
    "conversations": "each from its beginning on",
    "selection": "a selection",
}
"""How much a bundle may promise to hold, and how a person is told of it."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes that a line may have, unpacked: one event with its payload."""
NEVER_ERASED = ("PayloadErased", "ConversationForked")
_SAID = 1000  # Characters of a sentence that quotes what it found, at most.

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
# The same, for a glance: nearly every line is an event.
_NAMES = tuple(_EVENT)
_USUAL = set(itertools.product(*_EVENT.values()))
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MANIFEST: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "complete": (str,),
    "scope": (dict,),
    "checkpoint": (str,),
    "key": (str,),
}


class BundleError(ValueError):
    """What is wrong with a bundle, in one sentence."""


@dataclass
class Result:
    """What a bundle holds and what shows that it is intact."""

    events: int = 0
    conversations: int = 0
    erased: int = 0
    erased_unsigned: int = 0
    """Of them those that only events after the signed checkpoint say to be erased."""
    proven: int = 0
    """Events that the signed checkpoint covers; the others came after it."""
    complete: str = ""
    scope: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    size: int = 0
    root: str = ""
    key: str = ""
    trusted: bool = False
    """Whether the key was given by who verifies, or only comes with the bundle."""

    def sentence(self) -> str:
        """The result in one line."""
        newer = self.events - self.proven
        said = f"intact: {self.events} event(s) in {self.conversations} conversation(s)"
        said += f", {COMPLETE[self.complete]}"
        if self.erased:
            said += f", {self.erased} of the events erased"
        if self.erased_unsigned:
            said += f" ({self.erased_unsigned} as events say that are not signed yet)"
        said += f"; {self.proven} in the log of {self.origin} as signed at {self.size} event(s)"
        if newer:
            said += f", {newer} after that, not signed yet"
        if self.trusted:
            return f"{said}; the signature is by your key {self.key}"
        return f"{said}; the signature is by the key {self.key}, which you must know to be theirs"


def verify(file: BinaryIO, keys: Sequence[PublicKey] = ()) -> Result:
    """Check a whole bundle. Raises BundleError at the first thing that is wrong with it.

    The checkpoint must be signed by the bundle's own key and, with `keys`, by one of these.
    """
    return _Verification(keys).run(_objects(file))


def _objects(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines' numbers and objects, unpacked if need be."""
    # Not by going back to the beginning: a pipe has none.
    stream = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    magic = stream.peek(4)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise BundleError("it is packed by zstd; unpack it first (zstd -d)")
    unpacked: Any = gzip.GzipFile(fileobj=stream) if magic.startswith(b"\x1f\x8b") else stream
    number = 0
    try:
        while line := unpacked.readline(MAX_LINE + 1):
            number += 1
            yield number, _object(number, line)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        _wrong(number + 1, "expected a whole gzip file, found a damaged or cut off one")


def _object(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        _wrong(number, f"expected at most {MAX_LINE} bytes, found more")
    if not line.endswith(b"\n"):
        _wrong(number, "expected a line feed at its end, found that the file is cut off")
    try:
        value = _DECODER.decode(line.decode())
    except BundleError as error:
        _wrong(number, str(error))
    except (ValueError, RecursionError):
        _wrong(number, "expected a JSON object in UTF-8, found something else")
    if type(value) is not dict:
        _wrong(number, "expected a JSON object, found something else")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BundleError("expected each name once, found one again")
    return made


def _refused(text: str) -> NoReturn:
    raise BundleError(f"expected whole numbers, found {text[:40]}")


def _fitting(text: str) -> int:
    number = int(text)
    if not _fits(number):
        raise BundleError(f"expected numbers of 64 bits, found {text[:40]}")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_refused, parse_constant=_refused)
# Of a line's numbers each is looked at where it is used, which costs less.
_PAYLOAD_DECODER = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_float=_refused,
    parse_constant=_refused,
    parse_int=_fitting,
)


_BEGINNING = (0, GENESIS, -(1 << 63))  # Of every stream: version, hash and time.


class _Verification:
    """The walk through a bundle: over the tree from left to right, and along each chain."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self.keys = keys
        self.result = Result()
        self.root = b""
        self.tree = Growing()
        self.heads: dict[int, tuple[int, bytes, int]] = {}
        self.erased: set[tuple[int, int]] = set()
        self.wanted: set[int] | None = None
        self.contents: set[bytes] = set()
        self.skipped = -1  # The size of the tree after the last skip.

    def run(self, objects: Iterator[tuple[int, dict[str, Any]]]) -> Result:
        number, manifest = next(objects, (1, {}))
        self.begin(number, manifest)
        for number, line in objects:
            if "stream_id" in line:
                self.event(number, line)
            elif "skip" in line:
                self.skip(number, line)
            elif "content" in line:
                self.content(number, line)
            elif "end" in line:
                self.end(number, line)
                break
            else:
                _wrong(number, "expected an event, a skip, a content or the end")
        else:
            _wrong(number + 1, "expected the end, found that the file is cut off")
        for number, _ in objects:
            _wrong(number, "expected nothing after the end, found more")
        return self.result

    def begin(self, number: int, line: dict[str, Any]) -> None:
        """The manifest: which format, how much, and the signed checkpoint."""
        if line.get("format") != FORMAT:
            _wrong(number, f"expected a bundle, with the format {FORMAT!r}, found something else")
        _require(number, line, _MANIFEST)
        if line["complete"] not in COMPLETE:
            _wrong(number, f"expected `complete` to be one of {', '.join(COMPLETE)}")
        self.scope(number, line["complete"], line["scope"])
        _utf8(number, line["key"])
        _utf8(number, line["checkpoint"])
        try:
            own = PublicKey.parse(line["key"])
            checkpoint, key = open_checkpoint(line["checkpoint"], [own])
            if self.keys:
                checkpoint, key = open_checkpoint(line["checkpoint"], self.keys)
        except NoteError as error:
            _wrong(number, str(error))
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
        """What was asked for: nothing, some conversations, or what the exporter calls it."""
        if complete == "log":
            if scope:
                _wrong(number, "expected an empty `scope`, for it is the whole log")
        elif complete == "conversations":
            named: Any = scope.get("conversations")
            listed = type(named) is list and all(
                type(each) is int and _fits(each) for each in named
            )
            if len(scope) != 1 or not listed or named != sorted(set(named)):
                _wrong(number, "expected `scope` to name conversations, in order of their numbers")
            self.wanted = set(named)
        # Flat, so that nobody has to agree on how deep is too deep.
        elif not all(
            _is_plain(each)
            for value in scope.values()
            for each in (value if type(value) is list else [value])
        ):
            _wrong(number, "expected texts, whole numbers of 64 bits or lists of them in `scope`")

    def event(self, number: int, line: dict[str, Any]) -> None:
        """One event: payload and digest, the chain, and its place in the tree."""
        if tuple(map(type, line.values())) not in _USUAL or tuple(line) != _NAMES:
            _require(number, line, {**_EVENT, "previous": (str,)} if "previous" in line else _EVENT)
        stream_id, payload, salt = line["stream_id"], line["payload"], line["salt"]
        digest = _bytes(number, line["digest"])
        if payload is None and salt is None:
            if line["type"] in NEVER_ERASED:
                _wrong_event(number, line, f"expected a payload, for {line['type']} is not erased")
            self.result.erased += 1
            self.erased.add((stream_id, line["version"]))
        elif payload is None or salt is None:
            _wrong_event(number, line, "expected payload and salt, or neither")
        elif sha256(_bytes(number, salt) + _utf8(number, payload)).digest() != digest:
            _wrong_event(number, line, "the payload is not the one that was recorded")
        elif line["type"] == "PayloadErased":
            self.forgive(number, line)
        previous = self.previous(number, line)
        try:
            hash_ = raw_event_hash(
                previous,
                stream_id,
                line["version"],
                line["recorded_at"],
                line["schema"],
                _uuid(number, line["turn_id"]),
                _uuid(number, line["actor_id"]),
                digest,
                _utf8(number, line["type"]),
                _utf8(number, line["metadata"]),
            )
        except struct.error:
            _wrong_event(number, line, "expected numbers that fit, found greater ones")
        if hash_.hex() != line["hash"]:
            _wrong_event(number, line, "it was changed, or does not follow the one before it")
        self.heads[stream_id] = line["version"], hash_, line["recorded_at"]
        self.place(number, line["position"], hash_)
        self.result.events += 1

    def previous(self, number: int, line: dict[str, Any]) -> bytes:
        """The hash of the event before this one: the last of its stream, if that is it."""
        version, hash_, clock = self.heads.get(line["stream_id"], _BEGINNING)
        if line["recorded_at"] < clock:
            _wrong_event(number, line, "expected a time that does not go back")
        if line["version"] == version + 1:
            if "previous" in line:
                _wrong_event(number, line, "expected no `previous`: the event before it is here")
            return hash_
        if self.result.complete != "selection" or line["version"] <= version:
            _wrong_event(number, line, f"expected version {version + 1}")
        if "previous" not in line:
            _wrong_event(number, line, "expected `previous`: the event before it is not here")
        return _bytes(number, line["previous"])

    def place(self, number: int, position: int | None, hash_: bytes) -> None:
        """The event's leaf, at the position where it must be."""
        if position is None:
            if self.tree.size != self.result.size:
                _wrong(number, f"expected the event at position {self.tree.size + 1}")
            return
        if position != self.tree.size + 1 or position > self.result.size:
            _wrong(number, f"expected position {self.tree.size + 1}, found {position}")
        self.tree.add(leaf_hash(hash_))
        self.result.proven += 1

    def skip(self, number: int, line: dict[str, Any]) -> None:
        """Positions that are not here: the hashes of the subtrees that they fill."""
        _require(number, line, {"skip": (list,), "until": (int,)})
        if self.result.complete == "log":
            _wrong(number, "expected the whole log, found positions left out")
        begin, end = self.tree.size, line["until"]
        if begin == self.skipped:
            _wrong(number, "expected an event or the end after a skip, found one more skip")
        self.skipped = end
        if not begin < end <= self.result.size:
            _wrong(number, f"expected `until` from {begin + 1} to {self.result.size}, found {end}")
        levels = list(skipped(begin, end))
        if len(levels) != len(line["skip"]):
            _wrong(number, f"expected {len(levels)} hashes, found {len(line['skip'])}")
        for level, hash_ in zip(levels, line["skip"], strict=True):
            self.tree.add(_bytes(number, hash_), level)

    def content(self, number: int, line: dict[str, Any]) -> None:
        """A text that events refer to by its digest."""
        _require(number, line, {"content": (str,), "sha256": (str,)})
        digest = _bytes(number, line["sha256"])
        if sha256(_utf8(number, line["content"])).digest() != digest:
            _wrong(number, "expected a text with the digest that stands beside it")
        if digest in self.contents:
            _wrong(number, "expected each content once, found one again")
        self.contents.add(digest)

    def forgive(self, number: int, line: dict[str, Any]) -> None:
        """A PayloadErased names versions whose payloads are gone rightly."""
        named: Any = None
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            named = _PAYLOAD_DECODER.decode(line["payload"])["versions"]
        if type(named) is not list or not all(type(version) is int for version in named):
            _wrong_event(number, line, "expected a PayloadErased with versions")
        found = self.erased & {(line["stream_id"], version) for version in named}
        self.erased -= found
        if line["position"] is None:
            self.result.erased_unsigned += len(found)

    def end(self, number: int, line: dict[str, Any]) -> None:
        """Everything was there, and the root is the one that was signed."""
        result = self.result
        _require(number, line, {"end": (dict,)})
        _require(number, line["end"], {"events": (int,), "conversations": (int,)})
        counted = {"events": result.events, "conversations": len(self.heads)}
        if line["end"] != counted:
            _wrong(number, f"expected {counted}, as counted, found other numbers")
        if self.tree.size != result.size:
            _wrong(number, f"expected positions up to {result.size}, found {self.tree.size}")
        if self.tree.root() != self.root:
            _wrong(number, "these events are not those in the tree that the checkpoint signs")
        if self.wanted is not None and self.wanted != set(self.heads):
            _wrong(number, "expected the conversations that `scope` names, found others")
        if self.erased:
            stream_id, version = min(self.erased)
            _wrong(
                number,
                f"conversation {stream_id}, version {version}: expected a PayloadErased that names"
                " it, for its payload is gone",
            )
        result.conversations = len(self.heads)


def _require(number: int, line: dict[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    if line.keys() != types.keys():
        _wrong(number, f"expected {', '.join(types)}; found other names")
    for name, allowed in types.items():
        if type(line[name]) not in allowed:
            _wrong(number, f"expected another type of value for `{name}`")


def _bytes(number: int, text: Any) -> bytes:
    """32 bytes from 64 hex digits in small letters: there is one way to write a value."""
    try:
        value = bytes.fromhex(text)
    except (ValueError, TypeError):
        value = b""
    if len(value) != 32 or value.hex() != text:
        _wrong(number, "expected 32 bytes in hex")
    return value


def _is_plain(value: Any) -> bool:
    return type(value) is str or (type(value) is int and _fits(value))


def _fits(number: int) -> bool:
    return -(1 << 63) <= number < 1 << 63


def _uuid(number: int, text: str | None) -> bytes | None:
    value = None if text is None else _uuid_bytes(text)
    if text is not None and value is None:
        _wrong(number, "expected a UUID in small letters with dashes")
    return value


@functools.lru_cache(maxsize=1024)  # A turn's events have the same, and follow one another.
def _uuid_bytes(text: str) -> bytes | None:
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None


def _utf8(number: int, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        _wrong(number, "expected text, found half of a surrogate pair")


def _wrong(number: int, what: str) -> NoReturn:
    raise BundleError(f"line {number}: {what}")


def _wrong_event(number: int, line: dict[str, Any], what: str) -> NoReturn:
    _wrong(number, f"conversation {line['stream_id']}, version {line['version']}: {what}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m turnlog.events.verify", description="Check a bundle of a turnlog log."
    )
    parser.add_argument("file", metavar="FILE", help="what export_log wrote")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="PUBLIC_KEY",
        help="the log's public key, as you were given it (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    # A terminal of another encoding is no reason to fail: what it lacks is shown by its number.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        keys = [PublicKey.parse(text) for text in options.key]
        with open(options.file, "rb") as file:
            result = verify(file, keys)
    except BundleError as error:
        return _say(options, 1, {"ok": False, "error": str(error)}, f"NOT intact: {error}")
    except NoteError as error:
        return _say(options, 2, {"ok": None, "error": str(error)}, f"--key: {error}")
    except OSError as error:
        why = f"{options.file} cannot be read: {error.strerror or error}"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except MemoryError:
        why = f"{options.file} cannot be read: a line of it needs more memory than there is"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except KeyboardInterrupt:
        why = "interrupted, and so nothing is known of it"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except ImportError:
        why = "the signature needs the package `cryptography`; install it with pip"
        return _say(options, 2, {"ok": None, "error": why}, why)
    return _say(options, 0, {"ok": True, **asdict(result)}, result.sentence())


def _say(options: argparse.Namespace, code: int, facts: dict[str, Any], sentence: str) -> int:
    if options.json:
        print(json.dumps(facts))
    else:
        shown = sentence if len(sentence) <= _SAID else f"{sentence[:_SAID]} ..."
        # One line, whatever the names in it hold.
        print(safe(shown).replace("\n", "\\x0a"), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
