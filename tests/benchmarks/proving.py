"""The proof of a million events: verifying, signing, a bundle; and what it costs who records."""

from __future__ import annotations

import functools
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import connection

from turnlog.events import chain
from turnlog.events.models import Conversation
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.keys import ENVIRONMENT, known_keys
from turnlog.events.proof.notes import SigningKey
from turnlog.events.proof.verification import Verifier
from turnlog.events.proof.walk import verify
from turnlog.events.store.append_only import triggers_suspended
from turnlog.events.tables.columns import EVENT_COLUMNS

from .setting import answer, connect, human, timed

EVENTS = int(os.environ.get("TURNLOG_BENCHMARK_EVENTS", "1000000"))
FEW, NEW = EVENTS // 100, 1000
TURNS = 1000
ROUNDS = 5


@dataclass(frozen=True)
class Measured:
    """Seconds of each way of reading a log, and of signing it when it was short and long."""

    signing: tuple[float, float]
    verifying: tuple[float, float]
    offline: tuple[float, float]


@functools.cache
def measured() -> Measured:
    """On a log of its own."""
    os.environ[ENVIRONMENT] = SigningKey.create("example.com/benchmark").secret()
    _empty()
    _generate(FEW, seed=1)
    short = _signing(2)
    _generate(EVENTS - FEW, seed=3)
    long = _signing(4)
    verifying = [(timed(_verify_log), timed(_fetch_and_hash)) for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.jsonl"
        call_command("export_log", "--json", output=str(bundle))
        offline = [(timed(_verify, bundle), timed(_read_and_hash, bundle)) for _ in range(3)]
    return Measured((short, long), min(verifying), min(offline))


def signing(user: Any) -> float:
    """A checkpoint after 1,000 events on all, times the same on a hundredth of them."""
    short, long = measured().signing
    return long / short


def verifying(user: Any) -> float:
    """Of the rate of a loop that fetches the same columns and hashes the same bytes."""
    ours, theirs = measured().verifying
    return theirs / ours


def offline(user: Any) -> float:
    """Of the rate of a loop that reads the same lines and hashes the same bytes."""
    ours, theirs = measured().offline
    return theirs / ours


def recording(user: Any) -> float:
    """A turn recorded with digests and hashes, and its share of positions, tree and signature,
    times one without all of these."""
    os.environ[ENVIRONMENT] = SigningKey.create("example.com/benchmark").secret()
    _empty()
    proven, bare = (Conversation.objects.create(user=user) for _ in range(2))
    nothing = bytes(32)
    mine, theirs = [], []
    for _ in range(TURNS):
        question, reply = human(), answer()
        mine.append(timed(proven.record_turn, question, reply, user=user))
        with (
            mock.patch.object(chain, "payload_digest", lambda *args: nothing),  # noqa: PT008 - quicker
            mock.patch.object(chain, "event_hash", lambda *args, **kept: nothing),  # noqa: PT008
        ):
            theirs.append(timed(bare.record_turn, question, reply, user=user))
    # The checkpoint does not care which of them have hashes.
    share = timed(checkpoint_log) / (2 * TURNS)
    _empty()
    return (statistics.median(mine) + share) / statistics.median(theirs)


def _signing(seed: int) -> float:
    checkpoint_log()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE turnlog_event, turnlog_position, turnlog_pending")
    seconds = []
    for round_ in range(ROUNDS):
        _generate(NEW, seed=100 * seed + round_)
        seconds.append(timed(checkpoint_log))
    return statistics.median(seconds)


def _generate(events: int, seed: int) -> None:
    call_command("generate_events", "--json", "--force", events=events, seed=seed)


def _verify_log() -> None:
    assert list(Verifier(known_keys()).whole()) == []


def _fetch_and_hash() -> None:
    raw = connect()
    raw.autocommit = False
    with raw, raw.cursor(name="benchmark", binary=True) as cursor:
        cursor.itersize = 2000
        cursor.execute(f"SELECT {', '.join(EVENT_COLUMNS)} FROM turnlog_event")
        for row in cursor:
            event = dict(zip(EVENT_COLUMNS, row, strict=True))
            sha256(event["salt"] + event["payload"].encode()).digest()
            # 117 bytes beside these have a fixed width in the layout.
            sha256(bytes(117) + event["hash"] + event["metadata"].encode()).digest()


def _verify(bundle: Path) -> None:
    with bundle.open("rb") as file:
        assert verify(file).events >= EVENTS


def _read_and_hash(bundle: Path) -> None:
    with bundle.open("rb") as file:
        for event in _events(file):
            salt, digest = bytes.fromhex(event["salt"]), bytes.fromhex(event["digest"])
            sha256(salt + event["payload"].encode()).digest()
            sha256(bytes(117) + digest + event["metadata"].encode()).digest()


def _events(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        value = json.loads(line)
        if "payload" in value:
            yield value


def _empty() -> None:
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE turnlog_event, turnlog_position, turnlog_pending, turnlog_message,"
            " turnlog_usage, turnlog_search, turnlog_overview, turnlog_conversation, turnlog_tile,"
            " turnlog_signed_checkpoint RESTART IDENTITY CASCADE"
        )
