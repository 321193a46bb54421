"""Bundles made by hand, without a database: by the rules of docs/bundle-format.md, for tests.

Salts, times and the key are the same in every run. Not written by turnlog's own writer: what is
wrong there and here alike is seen by the JavaScript verifier, which goes by the page alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from turnlog.events.proof.merkle import leaf_hash, node_hash
from turnlog.events.proof.notes import Checkpoint, SigningKey
from turnlog.events.proof.walk import FORMAT
from turnlog.events.store.hashing import GENESIS, payload_digest, raw_event_hash

KEY = SigningKey("example.com/chat", bytes(range(32)))
OTHER_KEY = SigningKey("example.com/chat", bytes(range(1, 33)))
ADA = "6f1b9a52-7c3e-4d0f-8e2a-9b4c5d6e7f80"
TURN = "0b7e3c1a-5f0d-4c8e-9a51-2f6d1c9e4b10"
START = 1_795_344_120_123_456

Line = dict[str, Any]


@dataclass
class Log:
    """A log in memory: events in order of position, each a bundle's line with `previous` beside."""

    events: list[Line] = field(default_factory=list)
    contents: dict[int, str] = field(default_factory=dict)
    """Texts that stand before the event at an index."""
    previous: list[bytes] = field(default_factory=list)
    heads: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def add(
        self,
        stream_id: int,
        type_: str,
        payload: Any,
        *,
        turn_id: str | None = None,
        actor_id: str | None = ADA,
        metadata: str = "{}",
    ) -> Line:
        """Append an event to a stream."""
        number = len(self.events) + 1
        version, previous = self.heads.get(stream_id, (0, GENESIS))
        text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
        salt = bytes([number % 256]) * 32  # So that one can follow; real ones are random.
        digest = payload_digest(salt, text)
        recorded_at = START + number * 1_000_000
        hash_ = raw_event_hash(
            previous,
            stream_id,
            version + 1,
            recorded_at,
            1,
            turn_id and uuid.UUID(turn_id).bytes,
            actor_id and uuid.UUID(actor_id).bytes,
            digest,
            type_.encode(),
            metadata.encode(),
        )
        line = {
            "position": number,
            "stream_id": stream_id,
            "version": version + 1,
            "type": type_,
            "schema": 1,
            "turn_id": turn_id,
            "actor_id": actor_id,
            "recorded_at": recorded_at,
            "payload": text,
            "metadata": metadata,
            "salt": salt.hex(),
            "digest": digest.hex(),
            "hash": hash_.hex(),
        }
        self.heads[stream_id] = version + 1, hash_
        self.events.append(line)
        self.previous.append(previous)
        return line

    def say(self, stream_id: int, text: str, **more: Any) -> Line:
        """Append a message."""
        value = {"content": text, "type": "human"}
        document = {"_type": "HumanMessage", "_value": value}
        return self.add(stream_id, "MessageAppended", document, turn_id=TURN, **more)

    def erase(self, stream_id: int, *versions: int) -> Line:
        """Null the payloads of some versions, after a PayloadErased that names them."""
        for line in self.events:
            if line["stream_id"] == stream_id and line["version"] in versions:
                line["payload"] = line["salt"] = None
        reason = {"versions": list(versions), "reason": "request 42"}
        return self.add(stream_id, "PayloadErased", reason)

    def refer(self, text: str) -> str:
        """Keep a text that the next event refers to; its digest."""
        self.contents[len(self.events)] = text
        return sha256(text.encode()).hexdigest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, as it stands there."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(tree_root(leaves[:half]), tree_root(leaves[half:]))


def bundle(
    log: Log,
    complete: str = "log",
    wanted: Callable[[Line], bool] = lambda line: True,
    *,
    scope: dict[str, Any] | None = None,
    size: int | None = None,
    key: SigningKey = KEY,
) -> list[Line]:
    """The lines of a bundle of the wanted events; the checkpoint is over the first `size`."""
    size = len(log.events) if size is None else size
    leaves = [leaf_hash(bytes.fromhex(line["hash"])) for line in log.events]
    note = key.sign(str(Checkpoint(key.name, size, tree_root(leaves[:size]))))
    chosen = [line for line in log.events if wanted(line)]
    if scope is None:
        streams = sorted({line["stream_id"] for line in chosen})
        scope = {"conversations": streams} if complete == "conversations" else {}
    made: list[Line] = [
        {
            "format": FORMAT,
            "complete": complete,
            "scope": scope,
            "checkpoint": note,
            "key": str(key.public),
        }
    ]
    at = 0
    heads: dict[int, int] = {}
    for index, line in enumerate(log.events):
        if not wanted(line):
            continue
        if index < size:
            made += _skip(leaves, at, index)
            at = index + 1
        else:
            made += _skip(leaves, at, size)
            at = size
        if index in log.contents:
            text = log.contents[index]
            made.append({"content": text, "sha256": sha256(text.encode()).hexdigest()})
        written = {**line, "position": index + 1 if index < size else None}
        if line["version"] != heads.get(line["stream_id"], 0) + 1:
            written["previous"] = log.previous[index].hex()
        heads[line["stream_id"]] = line["version"]
        made.append(written)
    made += _skip(leaves, at, size)
    made.append({"end": {"events": len(chosen), "conversations": len(heads)}})
    return made


def dump(lines: Collection[Line]) -> bytes:
    """JSON Lines, written as turnlog writes them."""
    return b"".join(
        json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for line in lines
    )


def _skip(leaves: Sequence[bytes], begin: int, end: int) -> list[Line]:
    hashes = []
    at = begin
    while at < end:
        width = 1
        while at % (2 * width) == 0 and at + 2 * width <= end:
            width *= 2
        hashes.append(tree_root(leaves[at : at + width]).hex())
        at += width
    return [{"skip": hashes, "until": end}] if hashes else []


def example() -> Log:
    """That of docs/bundle-format.md: two conversations, of which one is exported."""
    log = Log()
    log.add(7, "ConversationOpened", {"owner": ADA, "title": "Ordering coffee"})
    log.add(8, "ConversationOpened", {"owner": None, "title": "Somebody else's"}, actor_id=None)
    log.say(8, "not in the bundle")
    prompt = log.refer("You are a language tutor. 請說中文。")
    started = {"message": None, "model": "gpt-4o", "system_prompt": prompt, "tools": None}
    log.add(7, "TurnStarted", started, turn_id=TURN)
    log.say(8, "nor this")
    log.say(7, "my phone number is ...")
    log.erase(7, 3)
    log.say(8, "nor that")
    log.say(7, "커피 주세요 \u001b", metadata='{"tools_at":[]}')
    return log


def example_bundle() -> bytes:
    """Signed when it had eight events; the ninth came later."""
    return dump(bundle(example(), "conversations", lambda line: line["stream_id"] == 7, size=8))
