"""What any released version has stored is decoded and verified, for ever: one sample of each."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.events.hashes import hash_of
from tests.events.samples.older import Commented, Rated, evolving
from tests.events.samples.stored import COMMAND, HERE, missing, read, samples, write
from turnlog.core import codec
from turnlog.events import upcasters
from turnlog.events.models import Conversation, Event, Pending
from turnlog.events.store.hashing import GENESIS, payload_digest
from turnlog.events.types import EVENT_TYPES

FILES = sorted(HERE.glob("*.jsonl"))
OF_TYPES = [path for path in FILES if path.name.split(".")[0] in EVENT_TYPES]
DOCS = Path(__file__).parents[2] / "docs"


def test_every_type_schema_and_field_has_a_sample() -> None:
    lacking = [f"{name} schema {schema} {sorted(fields)}" for name, schema, fields in missing()]
    assert not lacking, f"no sample of {lacking}: run `{COMMAND}` and check in what it writes"


def test_a_new_schema_or_field_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EVENT_TYPES["TurnStarted"], "schema", 2)
    monkeypatch.setitem(EVENT_TYPES, "Rated", Rated)
    assert list(missing()) == [
        ("TurnStarted", 2, set()),
        ("Rated", 1, set()),
        ("Rated", 2, set()),
        ("Rated", 3, set()),
    ]
    monkeypatch.undo()
    monkeypatch.setitem(EVENT_TYPES, "ConversationCleared", Commented)
    assert list(missing()) == [("ConversationCleared", 1, {"words"})]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_verifies(path: Path) -> None:
    previous = GENESIS
    for version, event in enumerate(read(path), 1):
        assert event.version == version
        if event.payload is not None:
            assert event.salt is not None
            assert payload_digest(bytes(event.salt), event.payload) == event.digest
        previous = hash_of(event, previous)
        assert previous == event.hash
    assert previous != GENESIS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_verifies_without_turnlog(path: Path) -> None:
    script = [sys.executable, "-I", "-S", str(DOCS / "examples" / "verify.py")]
    with path.open("rb") as file:
        assert subprocess.run(script, stdin=file, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("path", OF_TYPES, ids=lambda path: path.stem)
def test_a_sample_decodes_to_an_event_of_today(path: Path) -> None:
    name, schema = path.name.split(".")[:2]
    events = read(path)
    assert events
    for event in events:
        assert (event.type, event.schema) == (name, int(schema))
        current = event.current
        assert type(event.data) is EVENT_TYPES[current.type]
        assert current.schema == EVENT_TYPES[current.type].schema
        for document in documents(event.data):
            value = codec.decode(document)
            assert codec.to_json(codec.encode(value)) == codec.to_json(document)


def documents(data: Any) -> list[Any]:
    """The codec's documents in an event of today."""
    found = [getattr(data, name, None) for name in ("message", "input", "output", "text")]
    produced = getattr(data, "produced", None) or {"message": None, "tools": []}
    found.append(produced["message"])
    for tool in produced["tools"]:
        found += [tool["input"], tool["output"], tool["text"]]
    listed = (getattr(data, "previous", None) or {}).get("messages", ())
    found += [item for item in listed if type(item) is not int]
    return [document for document in found if document is not None]


def test_an_event_of_todays_schema_is_told_as_it_is() -> None:
    for path in OF_TYPES:
        for event in read(path):
            if upcasters.is_current(event.type, event.schema):
                payload = json.loads(event.payload or "")
                assert upcasters.upcast(event.type, event.schema, payload)[2] is payload
                assert event.current is event


def test_upcasters_leave_what_they_are_given_as_it_is() -> None:
    with evolving():
        for path in FILES:
            for event in read(path):
                if event.payload is not None:
                    payload = json.loads(event.payload)
                    before = copy.deepcopy(payload)
                    upcasters.upcast(event.type, event.schema, payload)
                    assert payload == before


def test_older_events_are_read_as_events_of_today() -> None:
    with evolving():
        events = read(HERE / "older.jsonl")
        data = [event.data for event in events]
        assert data[1:6] == [
            Rated(8, "human"),
            Rated(7, "human"),
            Rated(9, "guest"),
            Rated(10, "human"),
            Rated(6, "human"),
        ]
        assert isinstance(data[6], Commented)
        assert "\0" in data[6].words
        assert data[7] is None
        erased = events[7].current
        assert (erased.type, erased.schema, erased.payload) == ("Rated", 3, None)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["life", "older"])
def test_a_stored_stream_verifies_by_the_command(name: str) -> None:
    with evolving():
        events = read(HERE / f"{name}.jsonl")
        conversation = Conversation.objects.create(pk=events[0].stream_id)
        Event.objects.bulk_create(events)
        Pending.objects.create(stream_id=conversation.pk, first=1, last=len(events))
        for event in Event.objects.filter(stream_id=conversation.pk):
            assert (event.data is None) == (event.payload is None)
        call_command("verify_log", conversation=conversation.pk)
    # Nor does verifying need to know the types.
    call_command("verify_log", conversation=conversation.pk)


def test_the_command_writes_what_is_missing_and_nothing_over_what_is_there() -> None:
    before = {path: path.read_bytes() for path in FILES}
    result = subprocess.run(
        [sys.executable, "-m", "tests.events.samples"],
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert {path: path.read_bytes() for path in sorted(HERE.glob("*.jsonl"))} == before
    [path] = samples("HoldPlaced", 1)
    with pytest.raises(FileExistsError):
        write(path, read(path))
