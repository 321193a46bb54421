"""Every table that the log needs is guarded, and the guards cannot be led astray."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction
from django.db.models import ProtectedError
from langchain_core.messages import AIMessage

from turnlog.events.log import NewEvent, append
from turnlog.events.models import Actor, Conversation, Event, Pending
from turnlog.events.proof.verification import Verifier
from turnlog.events.store import append_only
from turnlog.events.store.append_only import (
    GUARDED,
    check_triggers,
    install_triggers,
    make_way_for_migrations,
    triggers_suspended,
    unguarded,
)
from turnlog.events.store.sequence import sequence
from turnlog.events.types import ConversationCleared

pytestmark = pytest.mark.django_db


def execute(*statements: str) -> None:
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(statement)


def refused(sql: str) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        execute(sql)
    return str(caught.value)


@pytest.fixture
def room(conversation: Any, user: Any) -> Any:
    conversation.record_turn("a", AIMessage("b"), user=user)
    return conversation


@pytest.mark.postgresql
@pytest.mark.parametrize("table", GUARDED)
def test_no_table_that_the_log_needs_is_emptied(room: Any, table: str) -> None:
    connection.check_constraints()  # Rows that wait for that cannot be emptied anyway.
    assert "TRUNCATE is refused" in refused(f"TRUNCATE {table} CASCADE")


@pytest.mark.postgresql
@pytest.mark.parametrize("restart", ["", " RESTART IDENTITY"])
def test_emptying_the_users_does_not_empty_the_log(room: Any, restart: str) -> None:
    connection.check_constraints()
    assert "TRUNCATE is refused" in refused(f"TRUNCATE auth_user{restart} CASCADE")
    assert Conversation.objects.count() == Actor.objects.count() == 1


def test_a_conversation_is_not_deleted_and_keeps_its_number(room: Any) -> None:
    refused("DELETE FROM turnlog_conversation")
    refused(f"UPDATE turnlog_conversation SET id = {room.pk + 1000}")
    refused("UPDATE turnlog_actor SET id = '00000000000000000000000000000001'")
    execute("UPDATE turnlog_conversation SET title = 'another'")
    assert Conversation.objects.get().title == "another"


@pytest.mark.sqlite
def test_insert_or_replace_replaces_no_conversation(room: Any) -> None:
    refused("INSERT OR REPLACE INTO turnlog_conversation SELECT * FROM turnlog_conversation")


def test_what_waits_for_a_position_waits_until_it_has_one(room: Any) -> None:
    assert Pending.objects.exists()
    assert "no position yet" in refused("DELETE FROM turnlog_pending")
    refused("UPDATE turnlog_pending SET last = last - 1")
    sequence()
    assert not Pending.objects.exists()


def test_a_text_is_not_changed(room: Any) -> None:
    from turnlog.events.models import Content

    Content.objects.keep("You are a tutor.")
    refused("UPDATE turnlog_content SET text = 'another'")


def test_the_database_too_keeps_who_somebody_is_while_they_are_held(room: Any, user: Any) -> None:
    room.hold(reason="case 1")
    assert "legal hold" in refused("DELETE FROM turnlog_actor")
    room.lift_hold(reason="case 1")
    execute("DELETE FROM turnlog_actor")
    assert not Actor.objects.exists()


def test_a_former_owner_of_a_held_conversation_stays_known(room: Any, admin_user: Any) -> None:
    room.user = admin_user
    room.save()
    room.user = None
    room.save()
    room.hold(reason="case 1")
    former = Actor.objects.get(user=admin_user).pk
    value = former.hex if connection.vendor == "sqlite" else former
    assert "legal hold" in refused(f"DELETE FROM turnlog_actor WHERE id = '{value}'")


def test_a_user_is_deleted_as_before(room: Any, user: Any) -> None:
    room.hold(reason="case 1")
    with pytest.raises(ProtectedError):
        user.delete()
    room.lift_hold(reason="case 1")
    get_user_model().objects.get(pk=user.pk).delete()
    assert not Actor.objects.exists()
    assert Conversation.objects.get().user_id is None
    assert list(Verifier().whole()) == []


@pytest.mark.postgresql
def test_the_functions_call_nothing_of_the_sites_own(room: Any) -> None:
    """An operator or a function earlier in the search_path would let words be nulled."""
    execute(
        "CREATE SCHEMA theirs",
        "CREATE FUNCTION theirs.yes(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR theirs.@> (leftarg = jsonb, rightarg = jsonb, function = theirs.yes)",
        "CREATE FUNCTION theirs.to_jsonb(integer) RETURNS jsonb LANGUAGE sql"
        " AS $$SELECT '{}'::jsonb$$",
        "SET LOCAL search_path = theirs, public, pg_catalog",
    )
    append(room.pk, [NewEvent(ConversationCleared())])
    refused("UPDATE turnlog_event SET payload = NULL, salt = NULL WHERE version = 1")
    assert all(event.payload is not None for event in Event.objects.all())


LED_ASTRAY = {
    "another schema's function": (
        "CREATE SCHEMA theirs",
        "CREATE FUNCTION theirs.turnlog_refuse() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = pg_catalog, pg_temp AS {source}",
        "CREATE OR REPLACE TRIGGER turnlog_position_update BEFORE UPDATE ON turnlog_position"
        " FOR EACH ROW EXECUTE FUNCTION theirs.turnlog_refuse()",
    ),
    "another search_path": ("ALTER FUNCTION turnlog_refuse() SET search_path = public",),
    "no search_path": ("ALTER FUNCTION turnlog_refuse() RESET ALL",),
    "another condition": (
        "CREATE OR REPLACE TRIGGER turnlog_position_update BEFORE UPDATE ON turnlog_position"
        " FOR EACH ROW WHEN (false) EXECUTE FUNCTION turnlog_refuse()",
    ),
    "off": ("ALTER TABLE turnlog_position DISABLE TRIGGER turnlog_position_update",),
    "on replicas alone": (
        "ALTER TABLE turnlog_position ENABLE REPLICA TRIGGER turnlog_position_update",
    ),
    "another schema's table in its body": (
        "CREATE SCHEMA theirs",
        "CREATE TABLE theirs.turnlog_position (LIKE turnlog_position)",
        "DO $do$ BEGIN EXECUTE (SELECT replace(pg_get_functiondef(oid),"
        " 'public.turnlog_position', 'theirs.turnlog_position') FROM pg_proc"
        " WHERE proname = 'turnlog_once_placed'); END $do$",
    ),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("way", LED_ASTRAY)
def test_a_guard_that_was_led_astray_is_reported_and_mended(way: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'turnlog_refuse'")
        source = f"$${cursor.fetchone()[0]}$$"
    execute(*(statement.replace("{source}", source) for statement in LED_ASTRAY[way]))
    wrong = unguarded(connection)
    table = "turnlog_pending_delete" if "body" in way else "turnlog_position_update"
    assert table in wrong
    [error] = check_triggers(None, databases=["default"])
    assert table in error.msg
    install_triggers(connection)
    assert unguarded(connection) == {}


@pytest.mark.sqlite
def test_a_migration_can_remake_a_table_that_other_tables_triggers_name(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_way_for_migrations(using="default", plan=[("a migration", False)])
    wrong = unguarded(connection)
    assert set(wrong) == set(append_only._ACROSS)
    [warning] = check_triggers(None, databases=["default"])
    assert not warning.is_serious(), "it must not keep the next migrate from running"
    field = Conversation._meta.get_field("title")
    wider = field.clone()
    wider.set_attributes_from_name("title")
    wider.model = Conversation
    wider.max_length = 300
    with connection.schema_editor() as editor:
        editor.alter_field(Conversation, field, wider)
        editor.alter_field(Conversation, wider, field)
    install_triggers(connection)
    assert unguarded(connection) == {}


def test_nothing_makes_way_for_no_migration() -> None:
    make_way_for_migrations(using="default", plan=[])
    assert unguarded(connection) == {}


def test_conversations_without_rows_are_named(room: Any) -> None:
    with triggers_suspended(connection):
        execute("UPDATE turnlog_conversation SET id = id + 1000")
    assert [str(problem) for problem in Verifier().whole()] == [
        f"conversation {room.pk}: turnlog_conversation: expected the conversation's row, found none"
    ]
