"""docs/erasure.md: after its clean-up, the words are in none of the database's files."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from langchain_core.messages import AIMessage

from tests.docs.pages import codes, rows, section, text_of
from tests.everywhere import places_of
from turnlog.core import conf, errors
from turnlog.events import reviews
from turnlog.events.erasure.users import erase_user
from turnlog.events.models import Actor, Conversation
from turnlog.events.prompt import Prompt
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Checkpoint, Parked

PAGE = text_of("docs/erasure.md")
CONNECTING = ("host", "port", "user", "password", "dbname")
DATABASES = {"sqlite": "### SQLite", "postgresql": "### PostgreSQL"}


def clean_up() -> list[str]:
    """The statements that the page tells for this database."""
    [block] = re.findall(
        r"^```sql\n(.*?)^```$", section(PAGE, DATABASES[connection.vendor]), re.M | re.S
    )
    return [statement.strip() for statement in block.split(";") if statement.strip()]


def execute(*statements: str) -> Any:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def files_with(word: str) -> list[str]:
    return [path.name for path in database_files() if word.encode() in bytes_of(path)]


def bytes_of(path: Path) -> bytes:
    """A file's bytes, read by another process: closing a file drops all locks that this process has
    on it (POSIX), also those of SQLite's open connections."""
    read = subprocess.run(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert read.returncode == 0 or not path.exists()  # The server has just deleted it.
    return read.stdout


def end_older_transactions() -> None:
    """A rewrite of a table keeps rows that an older transaction may still see: one of this
    database, and also one that writes into another database of the server (other tests)."""
    if connection.vendor != "postgresql":
        return
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    execute(f"SELECT pg_terminate_backend(pid) {others}")
    while execute(f"SELECT 1 {others}"):
        pass
    [[now]] = execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    while execute(f"SELECT 1 WHERE pg_snapshot_xmin(pg_current_snapshot()) < '{now}'::xid8"):
        pass


def database_files() -> list[Path]:
    """All that the database writes, but PostgreSQL's write-ahead log and its other databases."""
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        return [Path(name + end) for end in ("", "-wal") if Path(name + end).exists()]
    execute("CHECKPOINT")
    [[folder, ours]] = execute(
        "SELECT current_setting('data_directory'), oid FROM pg_database"
        " WHERE datname = current_database()"
    )
    found = []
    for base, folders, names in os.walk(folder):
        if base == folder:
            folders.remove("pg_wal")
        if Path(base).name == "base":
            folders[:] = [str(ours)]
        found += [Path(base, name) for name in names if Path(base, name).is_file()]
    return found


def say_everywhere(word: str, user: Any) -> Conversation:
    """A conversation that holds the word in all the places that there are, and a fork of it."""
    room = Conversation.objects.create(user=user, title=f"About {word}")
    prompt = Prompt("model", {"stop": word}, f"Speak of {word}.", [{"name": word}])
    turn = room.start_turn(f"tell me of {word}", user=user, prompt=prompt)
    # One that does not shrink, so that it is stored beside the table, as it is.
    long = word + "".join(uuid.uuid4().hex for _ in range(1000))
    outputs = [{"tool": "look", "input": {"for": word}, "output": f"{word} is {long}"}]
    room.record_turn(
        f"tell me of {word}", AIMessage(f"{word}!"), outputs, user=user, turn_id=turn.turn_id
    )
    fork = room.fork()
    fork.record_turn("mine", AIMessage("ok"), user=user)
    failed = room.start_turn(f"more {word}", user=user)
    error = {"type": "ModelError", "kind": "busy", "text": word}
    room.fail_turn(failed.turn_id, "failed", error=error, ai_message=AIMessage(f"half a {word}"))
    room.clear(by=user, reason=word)
    reviews.add_note(room.pk, word, by=user, turn_id=turn.turn_id, quote=word)
    Worker(named(["usage", "search"])).catch_up()
    Parked.objects.create(projection="search", stream_id=room.pk, version=2, error=word)
    Checkpoint.objects.filter(name="search").update(failed_at=2, error=word)
    return room


@pytest.mark.django_db(transaction=True)
def test_after_the_clean_up_the_words_are_in_no_file(user: Any) -> None:
    word = f"quokka{uuid.uuid4().hex}"
    room = say_everywhere(word, user)
    # SQLite's text index shows the words of the table that it is of.
    tables = {table for table, _ in places_of(word)} - {"turnlog_search_fts"}
    assert tables == {
        *("turnlog_event", "turnlog_search", "turnlog_content"),
        *("turnlog_conversation", "turnlog_parked", "turnlog_checkpoint", "turnlog_remark"),
    }
    if connection.vendor == "postgresql":
        # Samples would be taken now, and outlive the rows.
        execute(f"ANALYZE {', '.join(sorted(tables))}, turnlog_usage")
    assert files_with(word) != []
    room.erase(reason="request 7")
    assert places_of(word) == []
    assert files_with(word) != [], "then no clean-up would be needed"
    end_older_transactions()
    for statement in clean_up():
        result = execute(statement)
        if statement.startswith("PRAGMA"):
            assert result[0][0] == 0
    assert files_with(word) == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_transaction_in_another_database_keeps_the_words_in_the_files(user: Any) -> None:
    word = f"wombat{uuid.uuid4().hex}"
    room = say_everywhere(word, user)
    other = connection.get_connection_params() | {"dbname": "postgres"}
    with psycopg.connect(**{key: other[key] for key in other if key in CONNECTING}) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        room.erase(reason="request 7")
        execute(*clean_up())
        assert files_with(word) != []
    end_older_transactions()
    execute(*clean_up())
    assert files_with(word) == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_postgresql_keeps_no_samples(user: Any) -> None:
    word = f"numbat{uuid.uuid4().hex}"
    for _ in range(20):
        say_everywhere(word, user)
    execute("ANALYZE")
    for view in ("pg_stats", "pg_stats_ext"):
        assert word not in repr(execute(f"SELECT * FROM {view}"))
    salted = execute(
        "SELECT attname FROM pg_stats WHERE tablename = 'turnlog_event'"
        " AND attname IN ('payload', 'salt')"
    )
    assert salted == []


def test_each_table_with_words_is_cleaned_up() -> None:
    """As long as the test above says which these are."""
    block = section(PAGE, DATABASES["postgresql"])
    for table in re.findall(r"turnlog_\w+", block):
        assert table in text_of("docs/log-format.md"), table


def test_errors_are_those_of_the_code() -> None:
    for row in rows(section(PAGE, "## Errors")):
        for name in codes(row[0]):
            assert issubclass(getattr(errors, name), errors.TurnlogError)


def test_kinds_of_retention_are_those_of_the_settings() -> None:
    listed = [codes(row[0])[0] for row in rows(section(PAGE, "## Retention"))]
    assert tuple(listed) == conf.RETENTION_KINDS


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_after_the_clean_up_no_file_tells_who_it_was(user: Any) -> None:
    room = Conversation.objects.create(user=user)
    room.record_turn("a latte", AIMessage("ok"), user=user)
    actor_id = Actor.objects.get(user=user).pk
    execute("ANALYZE")
    list(erase_user(user, reason="request 7", forget=True))
    end_older_transactions()
    execute(*clean_up())
    [[path, samples]] = execute(
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('turnlog_actor'),"
        " (SELECT count(*) FROM pg_stats WHERE tablename = 'turnlog_actor')"
    )
    assert actor_id.bytes not in bytes_of(Path(path))
    assert samples == 0
