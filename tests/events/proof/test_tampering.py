"""Whatever is changed in a log with a signed checkpoint is found: exhaustively, on a small one.

Each bit of each field of each row is changed by itself, past the triggers, in the database: of
texts and bytes every seventh one, and on PostgreSQL, where that takes longer, every ninth.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from tests.events.hashes import hash_of
from turnlog.core.errors import TurnlogError
from turnlog.events.log import NewEvent, append
from turnlog.events.models import (
    Actor,
    Content,
    Conversation,
    Event,
    Pending,
    Position,
    SignedCheckpoint,
    Tile,
)
from turnlog.events.proof import keys, promises, tiles
from turnlog.events.proof.bundle import write_bundle
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.keys import known_keys
from turnlog.events.proof.notes import SigningKey
from turnlog.events.proof.selecting import select
from turnlog.events.proof.verification import Verifier
from turnlog.events.store import append_only
from turnlog.events.store.append_only import triggers_suspended
from turnlog.events.types import ConversationCleared, PayloadErased, TurnStarted

from .administrator import problems, try_to, undone

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# What says nothing: `id`, an identifier and never an order, of the log and of other tables.
COLUMNS = {
    Event: [field.column for field in Event._meta.concrete_fields if field.column != "id"],
    Position: ["position", "stream_id", "version"],
    Tile: ["level", "number", "hashes", "root"],
    SignedCheckpoint: ["size", "note"],
    Pending: ["stream_id", "first", "last"],
    Content: ["sha256", "text"],
}
POSTGRESQL_BITS = {"stream_id": 64, "position": 64, "number": 64, "size": 64, "schema": 16}
POSTGRESQL_BITS |= {"version": 32, "first": 32, "last": 32, "level": 16, "recorded_at": 64}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, user: Any) -> Iterator[list[int]]:
    """Two streams, an erased event, a checkpoint with tiles of two levels, and a tail after it."""
    for module in (tiles, promises):
        monkeypatch.setattr(module, "HEIGHT", 1)
        monkeypatch.setattr(module, "WIDTH", 2)
    monkeypatch.setenv(keys.ENVIRONMENT, SigningKey("t", bytes(32)).secret())
    # The same few definitions, in thousands of verifications.
    monkeypatch.setattr(append_only, "_plain", functools.cache(append_only._plain))
    one, other = (Conversation.objects.create().pk for _ in range(2))
    actor = Actor.objects.id_of(user)
    append(one, [NewEvent(ConversationCleared("a"), uuid.uuid4(), actor)])
    append(one, [NewEvent(PayloadErased([2], "r"))])
    Event.objects.filter(stream_id=one, version=2).update(payload=None, salt=None)
    append(other, [NewEvent(ConversationCleared("b"))])
    checkpoint_log()
    assert [tile.level for tile in Tile.objects.order_by("level")] == [0, 0, 1]
    prompt = "Answer briefly, and only about the garden, its plants and its birds."
    [prompt] = Content.objects.keep(prompt)
    append(other, [NewEvent(TurnStarted({}, system_prompt=prompt), uuid.uuid4())])
    assert problems() == []
    with triggers_suspended(connection):
        yield [one, other]


def changes(model: Any, row: Any) -> Iterator[tuple[str, str, Any]]:
    """(field, SQL of its new value, parameter) for each single-bit change of a row."""
    for name in COLUMNS[model]:
        if row[name] is None:
            continue
        yield from (
            (name, sql, value)
            for sql, value in (
                _changes_on_sqlite(name, row[name])
                if connection.vendor == "sqlite"
                else _changes_on_postgresql(name, row[name])
            )
        )


def _changes_on_postgresql(name: str, stored: Any) -> Iterator[tuple[str, Any]]:
    if name == "recorded_at":
        # In microseconds, which is what PostgreSQL keeps.
        for bit in range(64):
            sql = "(SELECT timestamptz '2000-01-01Z' + ((m # %s) || ' us')::interval FROM (SELECT"
            sql += " (extract(epoch FROM recorded_at - '2000-01-01Z') * 1000000)::bigint) t(m))"
            yield sql, 1 << bit if bit < 63 else -(1 << 63)
    elif name in POSTGRESQL_BITS:
        bits = POSTGRESQL_BITS[name]
        for bit in range(bits):
            flipped = stored ^ (1 << bit)
            yield "%s", flipped if bit < bits - 1 else stored - (1 << bits - 1)
    elif isinstance(stored, uuid.UUID):
        for bit in range(128):
            yield "%s", uuid.UUID(int=stored.int ^ 1 << bit)
    elif isinstance(stored, str):
        for changed in itertools.islice(flips(stored.encode()), 0, None, 9):
            yield "convert_from(%s, 'UTF8')", changed
    else:
        yield from (
            ("%s", changed) for changed in itertools.islice(flips(bytes(stored)), 0, None, 9)
        )


def _changes_on_sqlite(name: str, stored: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(stored, int):
        for bit in range(64):
            yield "%s", stored ^ 1 << bit if bit < 63 else stored - (1 << 63)
    elif isinstance(stored, str):
        for changed in itertools.islice(flips(stored.encode()), 0, None, 7):
            yield "CAST(%s AS TEXT)", changed
    else:
        yield from (
            ("%s", changed) for changed in itertools.islice(flips(bytes(stored)), 0, None, 7)
        )


def flips(stored: bytes) -> Iterator[bytes]:
    for place, bit in itertools.product(range(len(stored)), range(8)):
        yield stored[:place] + bytes([stored[place] ^ 1 << bit]) + stored[place + 1 :]


def rows_of(model: Any) -> list[dict[str, Any]]:
    """Rows as they are stored: SQLite's times and ids are text."""
    names = [model._meta.pk.column, *COLUMNS[model]]
    plain = "" if connection.vendor == "postgresql" else "+"
    with connection.cursor() as cursor:
        listed = ", ".join(f"{plain}{name}" for name in names)
        cursor.execute(f"SELECT {listed} FROM {model._meta.db_table} ORDER BY 1")
        return [dict(zip(["pk", *names[1:]], row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("bit", range(32))
@pytest.mark.parametrize("name", ["first", "last"])
def test_parts_find_what_waits_for_another_place(log: list[int], name: str, bit: int) -> None:
    [row] = rows_of(Pending)
    changed = row[name] ^ 1 << bit if bit < 31 else row[name] - (1 << 31)
    with undone():
        if try_to(f"UPDATE turnlog_pending SET {name} = %s", changed):
            for way in (Verifier.since_checkpoint, lambda verifier: verifier.sample(0, 1)):
                assert list(way(Verifier(known_keys()))), changed


@pytest.mark.parametrize("model", COLUMNS, ids=lambda model: model.__name__)
def test_every_change_of_a_bit_is_found(log: list[int], model: Any) -> None:
    key, table = model._meta.pk.column, model._meta.db_table
    tried, unseen = 0, []
    for row in rows_of(model):
        for name, sql, value in changes(model, row):
            with undone():
                change = f"UPDATE {table} SET {name} = {sql} WHERE {key} = %s"
                if not try_to(change, value, row["pk"]):
                    continue  # The database refuses it by itself.
                tried += 1
                if not problems():
                    unseen.append((row["pk"], name, value))
    assert tried > 90
    assert unseen == []


def test_every_deletion_of_a_row_is_found(log: list[int]) -> None:
    for model in COLUMNS:
        for pk in model._default_manager.order_by("pk").values_list("pk", flat=True):
            with undone():
                assert try_to(
                    f"DELETE FROM {model._meta.db_table} WHERE {model._meta.pk.column} = %s", pk
                )
                if model is SignedCheckpoint:
                    continue  # The last one is missed only by who has kept it: see below.
                assert problems(), f"{model.__name__} {pk}"


def test_every_swap_of_two_rows_fields_is_found(log: list[int]) -> None:
    swapped = 0
    for model in (Event, Position, Tile):
        key, table = model._meta.pk.column, model._meta.db_table
        pairs = itertools.combinations(rows_of(model), 2)
        for (one, other), name in itertools.product(pairs, COLUMNS[model]):
            if one[name] == other[name]:
                continue
            change = f"UPDATE {table} SET {name} = %s WHERE {key} = %s"
            with undone():
                if not try_to(change, other[name], one["pk"]):
                    continue  # Two rows would be at one place.
                if not try_to(change, one[name], other["pk"]):
                    continue
                swapped += 1
                assert problems(), f"{table} {one['pk']} and {other['pk']}: {name}"
    assert swapped > 90


def test_two_positions_that_change_places_are_found(log: list[int]) -> None:
    places = list(Position._default_manager.order_by("position").values())
    for one, other in itertools.combinations(places, 2):
        with undone():
            sql = "UPDATE turnlog_position SET position = %s WHERE position = %s"
            for old, new in (
                (one["position"], -1),
                (other["position"], one["position"]),
                (-1, other["position"]),
            ):
                assert try_to(sql, new, old)
            assert problems()


def rewritten(stream_id: int) -> None:
    """Make a stream's chain right again, as somebody with time and full rights would."""
    previous = bytes(32)
    for event in Event.objects.filter(stream_id=stream_id).order_by("version"):
        previous = hash_of(event, previous)
        assert try_to("UPDATE turnlog_event SET hash = %s WHERE id = %s", previous, event.pk)


def test_a_chain_that_was_computed_anew_is_found_by_the_signed_checkpoint(log: list[int]) -> None:
    somebody = uuid.UUID(int=1).hex
    changes = {"metadata": '{"a":1}', "type": "TurnStarted", "actor_id": somebody}
    for (column, value), version in itertools.product(changes.items(), (1, 2)):
        with undone():
            change = f"UPDATE turnlog_event SET {column} = %s WHERE stream_id = %s AND version = %s"
            assert try_to(change, value, log[1], version)
            rewritten(log[1])
            found = problems()
            # By the tiles, which name the first event that is another, and by what was signed.
            signed = f"signed checkpoint {SignedCheckpoint.objects.get().pk}: root of 5 events"
            assert signed in {problem.what for problem in found}
            # The fifth event is in no full tile; of those before, tiles name the one that differs.
            position = Position._default_manager.get(stream_id=log[1], version=version).position
            leaves = [problem.position for problem in found if problem.what == "leaf"]
            assert leaves == [position] * (position < 5)


def test_a_truncated_tail_is_found_even_with_all_that_points_to_it(log: list[int]) -> None:
    """The one thing that a chain cannot see."""
    total = Position._default_manager.count()
    for kept in range(total):
        with undone():
            gone = "SELECT stream_id, version FROM turnlog_position WHERE position > %s"
            assert try_to(f"DELETE FROM turnlog_event WHERE (stream_id, version) IN ({gone})", kept)
            assert try_to("DELETE FROM turnlog_position WHERE position > %s", kept)
            assert try_to("DELETE FROM turnlog_pending")
            last = Event.objects.filter(stream_id=log[1]).order_by("version").last()
            if last is not None and last.version == 3:
                assert try_to("DELETE FROM turnlog_event WHERE id = %s", last.pk)
            assert try_to("DELETE FROM turnlog_tile")
            [problem] = [each for each in problems() if "signed checkpoint" in each.what]
            assert problem.expected == f"a log of {total} positions"
            assert problem.found == f"one where it ends at position {kept}"


def test_with_its_checkpoint_gone_too_only_who_has_kept_it_sees(log: list[int]) -> None:
    note = SignedCheckpoint.objects.get().note
    with undone():
        for table in ("event", "position", "pending", "tile", "signed_checkpoint"):
            assert try_to(f"DELETE FROM turnlog_{table}")
        assert problems() == []
        [problem] = [
            problem
            for problem in Verifier(known_keys(), [("yesterday's", note)]).whole()
            if problem.what != "append-only trigger"
        ]
        assert problem.what == "yesterday's"


def test_what_is_put_in_is_found(log: list[int]) -> None:
    one, other = log
    columns = ", ".join(f'"{name}"' for name in COLUMNS[Event])
    copied = columns.replace('"stream_id"', "%s").replace('"version"', "%s")
    for version in (1, 2, 3):
        # A transplant: an event of one stream at the end of the other.
        with undone():
            assert try_to(
                f"INSERT INTO turnlog_event ({columns}) SELECT {copied} FROM turnlog_event"
                " WHERE stream_id = %s AND version = %s",
                *(other, 4, one, version),
            )
            rewritten(other)
            found = {(problem.version, problem.what) for problem in problems()}
            assert (4, "position") in found, "nobody has appended it"
            # With a position of its own it is an append like any other, and the next checkpoint
            # says when it was there first; but not with one that others have.
            for position in range(1, 6):
                assert not try_to(
                    "INSERT INTO turnlog_position VALUES (%s, %s, 4)", position, other
                )


def test_a_streams_beginning_cannot_be_cut_off(log: list[int]) -> None:
    for stream_id in log:
        for count in (1, 2):
            with undone():
                place = (count, stream_id)
                assert try_to(
                    "DELETE FROM turnlog_event WHERE version <= %s AND stream_id = %s", *place
                )
                # In two steps: in whatever order the rows are changed, no two have one version.
                for away in (1000, -1000 - count):
                    assert try_to(
                        "UPDATE turnlog_event SET version = version + %s WHERE stream_id = %s",
                        *(away, stream_id),
                    )
                rewritten(stream_id)
                assert problems()


def test_erasing_without_saying_so_is_found(log: list[int]) -> None:
    for event in Event.objects.exclude(payload=None):
        with undone():
            assert try_to(
                "UPDATE turnlog_event SET payload = NULL, salt = NULL WHERE id = %s", event.pk
            )
            found = {(problem.version, problem.what) for problem in problems()}
            assert (event.version, "erased payload") in found or event.type == "PayloadErased"
            assert found


def test_a_byte_cannot_move_between_salt_and_payload(log: list[int]) -> None:
    event = Event.objects.exclude(payload=None).first()
    assert event is not None
    salt, payload = bytes(event.salt or b""), event.payload or ""
    with undone():
        moved = (salt + payload[0].encode(), payload[1:])
        change = "UPDATE turnlog_event SET salt = %s, payload = %s WHERE id = %s"
        assert try_to(change, *moved, event.pk)
        assert "digest" in {problem.what for problem in problems()}


@pytest.mark.sqlite
def test_values_of_another_kind_are_found_and_named(log: list[int]) -> None:
    """SQLite puts anything into any column; nothing of it ends in a traceback, whatever is done."""
    strange = ("'text'", "x'0011'", "1.5", "-1", "4611686018427387904", "CAST(x'ff' AS TEXT)")
    ways = (
        Verifier.whole,
        Verifier.since_checkpoint,
        lambda verifier: verifier.conversation(log[0]),
        lambda verifier: verifier.sample(0, 1),
    )
    unseen, keys_ = [], known_keys()
    for model, columns in COLUMNS.items():
        key, table = model._meta.pk.column, model._meta.db_table
        for row, name, value in itertools.product(rows_of(model), columns, strange):
            with undone():
                if not try_to(f"UPDATE {table} SET {name} = {value} WHERE {key} = %s", row["pk"]):
                    continue
                if not problems():
                    unseen.append((table, row["pk"], name, value))
                for way in ways:
                    list(way(Verifier(known_keys())))
                for command in (checkpoint_log, lambda: write_bundle(BytesIO(), select(), keys_)):
                    # What the database refuses is one sentence, too (see `TurnlogCommand`).
                    refused = contextlib.suppress(TurnlogError, DatabaseError)
                    with refused, transaction.atomic():
                        command()
    assert unseen == []
