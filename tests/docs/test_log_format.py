"""docs/log-format.md: its example is recomputed, its script verifies, its tables are ours."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import subprocess
import sys
import uuid
from hashlib import sha256
from typing import Any
from unittest import mock

import pytest
from django.apps import apps
from django.db import connection

from tests.docs.pages import DOCS, codes, rows, section, text_of
from turnlog.events.models import Conversation, Event
from turnlog.events.store import hashing
from turnlog.events.store.append_only import trigger_names
from turnlog.events.types import EVENT_TYPES


def stored_example() -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of("docs/examples/stream.jsonl").splitlines()]


def test_worked_example_is_recomputed() -> None:
    page = text_of("docs/log-format.md")
    previous = hashing.GENESIS
    hashes = []
    for number, event in enumerate(stored_example(), 1):
        digest = hashing.payload_digest(bytes.fromhex(event["salt"]), event["payload"])
        previous = hashing.event_hash(
            previous,
            stream_id=event["stream_id"],
            version=number,
            type=event["type"],
            schema=event["schema"],
            turn_id=event["turn_id"] and uuid.UUID(event["turn_id"]),
            actor_id=event["actor_id"] and uuid.UUID(event["actor_id"]),
            recorded_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            + dt.timedelta(microseconds=event["recorded_at"]),
            metadata=event["metadata"],
            digest=digest,
        )
        assert (event["version"], event["digest"]) == (number, digest.hex())
        assert event["hash"] == previous.hex()
        hashes.append(f"{number}  {previous.hex()}\n")
        assert EVENT_TYPES[event["type"]].from_payload(json.loads(event["payload"]))
    assert "".join(hashes) in page
    head = previous.hex()
    assert f"conversation 7: {number} events, head {head}\n" in page


def test_worked_example_shows_the_bytes_of_its_first_event() -> None:
    page = text_of("docs/log-format.md")
    fields = re.search(r"^tag .*?^metadata .*?$", page, re.MULTILINE | re.DOTALL)
    assert fields
    shown = bytes.fromhex("".join(line.split(" ", 1)[1] for line in fields[0].splitlines()))
    first = stored_example()[0]
    assert sha256(shown).hexdigest() == first["hash"]
    assert f"payload  {first['payload']}\ndigest   {first['digest']}\n" in page
    assert str(first["recorded_at"]) in page


def verify(lines: str) -> subprocess.CompletedProcess[str]:
    script = DOCS / "examples" / "verify.py"
    # Isolated: nothing but the standard library.
    command = [sys.executable, "-I", "-S", str(script)]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)


def test_verify_script_agrees_and_finds_changes() -> None:
    stored = text_of("docs/examples/stream.jsonl")
    result = verify(stored)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in text_of("docs/log-format.md")

    def changed(version: int, **fields: Any) -> str:
        events = stored_example()
        events[version - 1] |= fields
        return "".join(json.dumps(event) + "\n" for event in events)

    assert verify(changed(2, payload=None, salt=None)).returncode == 0, "erased, not changed"
    assert "version 2: another payload" in verify(changed(2, payload="{}")).stderr
    for field, value in {
        "metadata": "{}",
        "recorded_at": 0,
        "type": "TurnStarted",
        "schema": 2,
        "turn_id": None,
        "actor_id": str(uuid.UUID(int=1)),
        "hash": "00" * 32,
    }.items():
        result = verify(changed(2, **{field: value}))
        assert result.returncode == 1, field
        assert "version 2: the chain is broken" in result.stderr
    without_second = "".join(stored.splitlines(keepends=True)[::2])
    assert "version 3: the chain is broken" in verify(without_second).stderr


@pytest.mark.django_db
def test_exported_rows_verify(conversation: Conversation, user: Any) -> None:
    from langchain_core.messages import AIMessage, HumanMessage

    turn = conversation.start_turn("얼마예요? \x00 \ud800", user=user)
    conversation.record_turn(
        HumanMessage("얼마예요? \x00 \ud800"), AIMessage("32元"), user=user, turn_id=turn.turn_id
    )
    conversation.clear()
    # A round second: SQLite stores it without a fraction. Just below one: it must not be rounded.
    for microsecond in (0, 999_999):
        _append_at(dt.datetime(2199, 1, 1, 0, 0, microsecond and 1, microsecond, tzinfo=dt.UTC))
    conversation.record_turn("Which table?", AIMessage("A table. " * 20_000), user=user)
    lines = []
    with connection.cursor() as cursor:
        for statement in text_of(f"docs/examples/export-{connection.vendor}.sql").split(";")[:2]:
            cursor.execute(statement)
            lines += [
                value if isinstance(value, str) else json.dumps(value)
                for (value,) in cursor.fetchall()
            ]
    result = verify("\n".join(lines) + "\n")
    assert result.returncode == 0, result.stderr
    assert lines[0].startswith('{"blob"')
    assert "a blob is missing" in verify("\n".join(lines[1:]) + "\n").stderr
    assert "a blob is missing" in verify("\n".join([*lines[1:], lines[0]]) + "\n").stderr
    last = Event.objects.filter(stream_id=conversation.pk).order_by("version").last()
    assert last is not None
    assert f"conversation {conversation.pk}: {last.version} events" in result.stdout
    assert bytes(last.hash).hex() in result.stdout


def _append_at(moment: dt.datetime) -> None:
    with mock.patch("turnlog.events.attempt.timezone.now", return_value=moment):
        Conversation.objects.create().clear()


def test_columns_and_tables_are_those_of_the_models() -> None:
    page = section(text_of("docs/log-format.md"), "## Tables")
    tables = page.split("The others:")
    documented = [codes(row[0])[0] for row in rows(tables[0])]
    assert documented == [field.column for field in Event._meta.concrete_fields]
    others = {codes(row[0])[0] for row in rows(tables[1])}
    models = {
        model._meta.db_table
        for label in ("turnlog_events", "turnlog_projections")
        for model in apps.get_app_config(label).get_models()
    }
    assert others == models - {"turnlog_event"}


def test_event_types_and_their_fields_are_documented() -> None:
    documented = {
        codes(row[0])[0]: row[1]
        for row in rows(section(text_of("docs/log-format.md"), "## Event types"))
    }
    assert set(documented) == set(EVENT_TYPES)
    for name, cls in EVENT_TYPES.items():
        assert f"{cls.schema}" == "1", "log-format.md says that every schema is 1"
        if name == "MessageAppended":
            continue
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            assert f"`{field.name}`" in documented[name], f"{name}.{field.name}"


def test_triggers_are_documented() -> None:
    page = section(text_of("docs/log-format.md"), "## Append-only")
    documented = {
        f"{table}_{on}"
        for row in rows(page)
        for table in codes(row[0])
        for on, what in zip(("insert", "update", "delete", "truncate"), row[1:], strict=True)
        if what != "-"
    }
    # On SQLite, a new conversation is looked at once its number is known: in a second trigger.
    second = {"turnlog_conversation_stream"}
    assert documented == trigger_names("postgresql") | trigger_names("sqlite") - second
