"""The database itself refuses to change the log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from turnlog.core.errors import AppendOnlyError
from turnlog.events.log import NewEvent, append, read_all
from turnlog.events.models import Event
from turnlog.events.store.append_only import (
    _script,
    check_triggers,
    triggers_suspended,
    unguarded,
)
from turnlog.events.types import EVENT_TYPES, NEVER_ERASED, ConversationCleared, PayloadErased

pytestmark = pytest.mark.django_db


def refused(sql: str, *parameters: Any) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.fixture
def events(conversation: Any) -> list[Event]:
    append(conversation.pk, [NewEvent(ConversationCleared("words"))])
    return list(read_all())


COLUMNS = [field.column for field in Event._meta.concrete_fields]


@pytest.mark.parametrize("column", COLUMNS)
def test_no_column_can_be_changed(events: list[Event], column: str) -> None:
    other = {
        "payload": "'x'",
        "metadata": "'x'",
        "type": "'x'",
        "turn_id": "'00000000000000000000000000000001'",
        "actor_id": "'00000000000000000000000000000001'",
        "recorded_at": "'2001-01-01 00:00:00'",
    }
    blob = "'\\x00'::bytea" if connection.vendor == "postgresql" else "x'00'"
    value = other.get(column, blob if column in ("salt", "digest", "hash") else "7")
    refused(f'UPDATE turnlog_event SET "{column}" = {value} WHERE version = 2')


@pytest.mark.parametrize("table", ["turnlog_event", "turnlog_position"])
def test_nothing_can_be_deleted(events: list[Event], table: str) -> None:
    refused(f"DELETE FROM {table}")
    refused(f"DELETE FROM {table} WHERE version = 1")


@pytest.mark.postgresql
@pytest.mark.parametrize("table", ["turnlog_event", "turnlog_position"])
def test_nothing_can_be_truncated(events: list[Event], table: str) -> None:
    refused(f"TRUNCATE {table}")


@pytest.mark.sqlite
@pytest.mark.parametrize("table", ["turnlog_event", "turnlog_position"])
def test_insert_or_replace_replaces_nothing(events: list[Event], table: str) -> None:
    refused(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")


def test_positions_cannot_be_changed(events: list[Event]) -> None:
    refused("UPDATE turnlog_position SET position = position + 10")


ERASE = "UPDATE turnlog_event SET payload = NULL, salt = NULL WHERE version = %s"


def test_erasure_is_the_one_exception(events: list[Event], conversation: Any) -> None:
    refused(ERASE, 2)  # Nobody has recorded that it was asked for.
    append(conversation.pk, [NewEvent(PayloadErased([2], "request 7"))])
    refused("UPDATE turnlog_event SET payload = NULL WHERE version = 2")
    refused(ERASE + " OR version = 1", 2)
    refused(ERASE.replace("salt = NULL", "salt = NULL, metadata = '{}'||metadata"), 2)
    with connection.cursor() as cursor:
        cursor.execute(ERASE, [2])
    assert Event.objects.get(version=2).payload is None
    refused(ERASE, 3)  # The record of an erasure itself.
    refused("UPDATE turnlog_event SET payload = 'back' WHERE version = 2")


def test_any_later_record_of_the_same_stream_lets_it_pass(
    events: list[Event], conversation: Any
) -> None:
    other = type(conversation).objects.create()
    append(other.pk, [NewEvent(PayloadErased([1, 2, 3], "of another stream"))])
    of_ours = f"{ERASE} AND stream_id = {conversation.pk}"
    refused(of_ours, 2)
    append(conversation.pk, [NewEvent(PayloadErased([9, 2], "request 7"))])
    append(conversation.pk, [NewEvent(PayloadErased([1], "request 8"))])
    append(conversation.pk, [NewEvent(PayloadErased([], "request 9"))])
    with connection.cursor() as cursor:
        for version in (2, 1):
            cursor.execute(of_ours, [version])
    erased = Event.objects.filter(payload=None).order_by("version")
    assert list(erased.values_list("stream_id", "version")) == [
        (conversation.pk, 1),
        (conversation.pk, 2),
    ]


def test_the_models_refuse_as_well(events: list[Event], conversation: Any) -> None:
    with pytest.raises(AppendOnlyError):
        events[0].save()
    with pytest.raises(AppendOnlyError):
        events[0].delete()
    with pytest.raises(AppendOnlyError):
        conversation.delete()
    with pytest.raises(AppendOnlyError):
        type(conversation).objects.filter(pk=conversation.pk).delete()


def test_a_missing_trigger_is_reported_and_comes_back_with_migrate() -> None:
    name = "turnlog_event_delete"
    assert unguarded(connection) == {}
    on = " ON turnlog_event" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")
    [error] = check_triggers(None, databases=["default"])
    assert error.id == "turnlog.E003"
    assert name in error.msg
    call_command("migrate", "turnlog_events", verbosity=0)
    assert unguarded(connection) == {}
    assert check_triggers(None, databases=["default"]) == []


HOLLOW = {
    "sqlite": [
        "DROP TRIGGER turnlog_position_update",
        "CREATE TRIGGER turnlog_position_update BEFORE UPDATE ON turnlog_position"
        " WHEN 0 BEGIN SELECT 1; END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION turnlog_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RETURN NEW; END$$",
        "CREATE OR REPLACE TRIGGER turnlog_position_update BEFORE UPDATE ON turnlog_position"
        " FOR EACH ROW WHEN (false) EXECUTE FUNCTION turnlog_refuse()",
        "ALTER TABLE turnlog_position DISABLE TRIGGER turnlog_position_update",
    ],
}


def test_a_trigger_that_was_hollowed_out_is_reported_and_mended() -> None:
    for statement in HOLLOW[connection.vendor]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        assert "turnlog_position_update" in unguarded(connection)
        [error] = check_triggers(None, databases=["default"])
        assert "turnlog_position_update" in error.msg
    call_command("migrate", "turnlog_events", verbosity=0)
    assert unguarded(connection) == {}


def test_suspended_triggers_come_back() -> None:
    with triggers_suspended(connection):
        assert unguarded(connection)
    assert unguarded(connection) == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", [1, 2])
def test_a_test_database_can_be_flushed(round_: int, conversation: Any) -> None:
    """The second round would find the first one's events, had they not been flushed."""
    append(conversation.pk, [NewEvent(ConversationCleared())])
    assert Event.objects.count() == 2


def test_sql_and_types_agree_on_what_is_never_erased() -> None:
    """The triggers, both verifiers and the indexes' conditions say in SQL what the types say."""
    listed = ", ".join(f"'{name}'" for name in NEVER_ERASED)
    for vendor in ("postgresql", "sqlite"):
        assert f"OLD.type NOT IN ({listed})" in _script(vendor)
    second = (Path(__file__).parent / "proof" / "verify.mjs").read_text()
    assert f"[{listed}]".replace("'", '"') in second
    for index in Event._meta.indexes:
        for name in re.findall(r"'(\w+)'", str(index.condition)):
            assert name in EVENT_TYPES or name in ("turn_id__isnull", "type", "type__in")


@pytest.mark.parametrize("act", ["hold", "lift_hold"])
def test_a_hold_is_never_erased(conversation: Any, act: str) -> None:
    conversation.hold(reason="case 1")
    event = getattr(conversation, act)(reason="case 2")
    erased = NewEvent(PayloadErased([event.version], "request"))
    append(conversation.pk, [erased])
    with pytest.raises(DatabaseError), transaction.atomic():
        Event.objects.filter(pk=_pk(event)).update(payload=None, salt=None)


def _pk(event: Event) -> int:
    return Event.objects.values_list("pk", flat=True).get(
        stream_id=event.stream_id, version=event.version
    )
