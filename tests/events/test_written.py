"""Written means written: what the database drops without an error is an error here.

Rules, triggers and policies of somebody else's drop or change rows. Whoever writes the log finds
out in the same statement, and nothing of it stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage

from turnlog.core.errors import AppendOnlyError, ErasureFailed, NotStored
from turnlog.events import drafts, hooks, runners, uploads
from turnlog.events.erasure.forgetting import forget_user
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import (
    Actor,
    Content,
    Conversation,
    Draft,
    Event,
    Pending,
    Position,
    Runner,
    SignedCheckpoint,
    Tile,
    Upload,
)
from turnlog.events.prompt import Prompt
from turnlog.events.proof import keys, tiles
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.notes import SigningKey
from turnlog.events.proof.verification import Verifier
from turnlog.events.store.append_only import install_after_migrate, triggers_suspended
from turnlog.events.store.foreign import check_foreign, foreign, log_tables
from turnlog.events.store.sequence import sequence
from turnlog.events.types import ConversationCleared
from turnlog.projections.models import ConversationMessage

pytestmark = pytest.mark.django_db(transaction=True)


def execute(*statements: str) -> None:
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(statement)


@contextmanager
def dropping(table: str, event: str = "INSERT", condition: str = "") -> Iterator[None]:
    """A trigger of somebody else's that drops each row, or those for which `condition` holds."""
    if connection.vendor == "sqlite":
        when = f"WHEN {condition}" if condition else ""
        execute(
            f"CREATE TRIGGER theirs BEFORE {event} ON {table} {when}"
            " BEGIN SELECT RAISE(IGNORE); END"
        )
        undo = ["DROP TRIGGER theirs"]
    else:
        row = "NEW" if event == "INSERT" else "OLD"
        execute(
            f"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition or 'true'} THEN RETURN NULL; END IF; RETURN {row}; END $$",
            # Before turnlog's own in the order of names, as a hostile one would be.
            f'CREATE TRIGGER "aaa_theirs" BEFORE {event} ON {table}'
            " FOR EACH ROW EXECUTE FUNCTION theirs()",
        )
        undo = [f'DROP TRIGGER "aaa_theirs" ON {table}', "DROP FUNCTION theirs()"]
    try:
        yield
    finally:
        execute(*undo)


@pytest.fixture
def room() -> Conversation:
    """A conversation whose head this process remembers."""
    room = Conversation.objects.create()
    room.record_turn("a", AIMessage("b"))
    room.record_turn("c", AIMessage("d"))
    sequence()
    return room


def stored() -> list[int]:
    models = (Event, Pending, Position, ConversationMessage, Content)
    return [model._default_manager.count() for model in models]


def record(room: Conversation, way: str) -> None:
    with transaction.atomic() if way == "in a transaction" else nullcontext():
        room.record_turn("e", AIMessage("f"))


WRITTEN = ("turnlog_event", "turnlog_pending", "turnlog_message")


@pytest.mark.parametrize("way", ["at once", "in a transaction", "the first append"])
@pytest.mark.parametrize("table", WRITTEN)
def test_an_append_whose_rows_are_dropped_fails(room: Conversation, table: str, way: str) -> None:
    if way == "the first append":
        room = Conversation.objects.create()
    before = stored()
    with dropping(table), pytest.raises(NotStored, match=table):
        record(room, way)
    assert stored() == before
    room.record_turn("e", AIMessage("f"))
    assert list(Verifier().whole()) == []


def test_a_trigger_for_one_conversation_concerns_no_other(room: Conversation) -> None:
    other = Conversation.objects.create()
    with dropping("turnlog_event", condition=f"NEW.stream_id = {room.pk}"):
        with pytest.raises(NotStored):
            room.record_turn("e", AIMessage("f"))
        assert other.record_turn("e", AIMessage("f"))


def test_one_row_of_many_is_missed(room: Conversation) -> None:
    head = Event.objects.filter(stream_id=room.pk).latest("version").version
    before = stored()
    what = "expected the database to write 2 rows, found 1"
    last = dropping("turnlog_event", condition=f"NEW.version = {head + 2}")
    with last, pytest.raises(NotStored, match=what):
        room.record_turn("e", AIMessage("f"))
    assert stored() == before


CHANGES = {
    "turnlog_event": ("payload := '{}'", "stream_id := NEW.stream_id + 1", "recorded_at := now()"),
    "turnlog_pending": (
        "stream_id := NEW.stream_id + 1",
        "first := NEW.first - 1",
        "last := NEW.last + 1",
    ),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("way", ["at once", "in a transaction"])
@pytest.mark.parametrize(
    ("table", "change"), [(table, change) for table in CHANGES for change in CHANGES[table]]
)
def test_an_append_whose_rows_are_changed_fails(
    room: Conversation, table: str, change: str, way: str
) -> None:
    before = stored()
    execute(
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN NEW.{change}; RETURN NEW; END $$",
        f"CREATE TRIGGER theirs BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION theirs()",
    )
    try:
        with pytest.raises(NotStored, match=table):
            record(room, way)
    finally:
        execute(f"DROP TRIGGER theirs ON {table}", "DROP FUNCTION theirs()")
    assert stored() == before


RULES = {
    "nothing": "CREATE RULE theirs AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "nothing, of one": "CREATE RULE theirs AS ON INSERT TO {table} WHERE true DO INSTEAD NOTHING",
}


@pytest.mark.postgresql
@pytest.mark.parametrize("way", ["at once", "in a transaction"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("table", WRITTEN)
def test_a_rule_that_drops_rows_fails_the_append(
    room: Conversation, table: str, rule: str, way: str
) -> None:
    before = stored()
    execute(RULES[rule].format(table=table))
    try:
        with pytest.raises(NotStored, match=table):
            record(room, way)
        assert f"rule theirs on {table}" in {str(each) for each in foreign_on_all()}
    finally:
        execute(f"DROP RULE theirs ON {table}")
    assert stored() == before


def foreign_on_all() -> list[Any]:
    return foreign(connection, [*log_tables(), "turnlog_message"])


@pytest.mark.postgresql
def test_a_rule_that_drops_conversations_is_said(room: Conversation) -> None:
    execute("CREATE RULE theirs AS ON INSERT TO turnlog_conversation DO INSTEAD NOTHING")
    try:
        for make in (Conversation.objects.create, room.fork):
            with pytest.raises(NotStored, match="turnlog_conversation"):
                make()
    finally:
        execute("DROP RULE theirs ON turnlog_conversation")
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("column", ["user_id", "owner_actor_id"])
def test_a_conversation_whose_owner_is_not_kept_lets_nobody_in(
    room: Conversation, user: Any, column: str
) -> None:
    with taking(column):
        for make in (lambda: Conversation.objects.create(user=user), lambda: room.fork(user=user)):
            with pytest.raises(NotStored, match="owner"):
                make()
    assert Conversation.objects.count() == 1


@contextmanager
def taking(column: str) -> Iterator[None]:
    """A trigger of somebody else's that takes a value from each new conversation."""
    if connection.vendor == "sqlite":
        execute(
            "CREATE TRIGGER theirs AFTER INSERT ON turnlog_conversation BEGIN"
            f" UPDATE turnlog_conversation SET {column} = NULL WHERE id = NEW.id; END"
        )
        drop = ["DROP TRIGGER theirs"]
    else:
        execute(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN NEW.{column} := NULL; RETURN NEW; END $$",
            "CREATE TRIGGER theirs BEFORE INSERT ON turnlog_conversation"
            " FOR EACH ROW EXECUTE FUNCTION theirs()",
        )
        drop = ["DROP TRIGGER theirs ON turnlog_conversation", "DROP FUNCTION theirs()"]
    try:
        yield
    finally:
        execute(*drop)


@pytest.mark.parametrize("field", ["title", "user"])
def test_a_change_that_is_not_kept_is_no_event(
    room: Conversation, field: str, django_user_model: Any
) -> None:
    before = stored()
    setattr(room, field, {"title": "new", "user": django_user_model.objects.create()}[field])
    with dropping("turnlog_conversation", "UPDATE"), pytest.raises(NotStored, match=field):
        room.save()
    assert stored() == before
    room.save()  # It is still to be saved.
    room.refresh_from_db()
    assert stored() != before
    assert room.title == "new" or room.user_id is not None


@pytest.mark.postgresql
def test_another_owner_than_the_event_says_is_refused(
    room: Conversation, django_user_model: Any
) -> None:
    intended, other = (django_user_model.objects.create(username=name) for name in "ab")
    execute(
        f"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN NEW.user_id = {other.pk}; RETURN NEW; END $$",
        "CREATE TRIGGER theirs BEFORE UPDATE ON turnlog_conversation"
        " FOR EACH ROW EXECUTE FUNCTION theirs()",
    )
    room.user = intended
    try:
        with pytest.raises(NotStored, match="expected user, owner_actor_id to be stored as"):
            room.save()
    finally:
        execute("DROP TRIGGER theirs ON turnlog_conversation", "DROP FUNCTION theirs()")
    assert Conversation.objects.get(pk=room.pk).user_id is None


def test_a_row_that_still_names_a_forgotten_user_is_said(room: Conversation, user: Any) -> None:
    room.record_turn("e", AIMessage("f"), user=user)
    with (
        dropping("turnlog_message", "UPDATE"),
        pytest.raises(ErasureFailed, match="turnlog_message: expected no row of the forgotten"),
    ):
        forget_user(user)
    assert Actor.objects.filter(user_id=user.pk).exists()


def test_an_append_asks_for_nothing_more(room: Conversation) -> None:
    """The confirmation is part of the statement that writes."""
    with CaptureQueriesContext(connection) as queries:
        room.record_turn("e", AIMessage("f"))
    sent = [query["sql"] for query in queries if "NOTIFY" not in query["sql"]]
    if connection.vendor == "postgresql":
        assert len(sent) == 1
    else:
        # The transaction's own, the events, the row that waits, and the messages with their count.
        assert len([sql for sql in sent if sql.split()[0] in ("INSERT", "SELECT")]) == 4


def test_an_inline_projection_of_a_projects_own_is_confirmed_too(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tally:
        insert = (
            "INSERT INTO tally (stream_id, kind, note)"
            " SELECT e.stream_id, 'said', NULL FROM {events} e WHERE e.type = 'MessageAppended'"
        )

        def follows(self, events: Any) -> bool:
            return False

        def follow(self, events: Any) -> None:
            pass

    execute("CREATE TABLE tally (stream_id bigint, kind varchar(9), note integer)")
    try:
        monkeypatch.setattr(hooks, "inline_projections", [*hooks.inline_projections, Tally()])
        room.record_turn("e", AIMessage("f"))
        before = stored()
        with dropping("tally"), pytest.raises(NotStored, match="tally"):
            room.record_turn("g", AIMessage("h"))
        assert stored() == before
    finally:
        execute("DROP TABLE tally")


def test_a_text_of_a_prompt_that_is_not_kept_is_said(room: Conversation) -> None:
    prompt = Prompt("m", system_prompt="You are a tutor.", previous={"messages": []})
    before = stored()
    with dropping("turnlog_content"), pytest.raises(NotStored, match="turnlog_content"):
        room.start_turn("e", prompt=prompt)
    assert stored() == before


def test_a_runner_that_is_not_kept_is_said(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    Runner.objects.all().delete()
    monkeypatch.setattr(runners, "_beaten", {})
    before = stored()
    with dropping("turnlog_runner"), pytest.raises(NotStored, match="turnlog_runner"):
        room.start_turn("e")
    assert stored() == before


def keep_file(room: Conversation) -> None:
    file: Any = {"kind": "file", "name": "a", "mime_type": "text/plain", "width": 0, "height": 0}
    uploads.keep(room.pk, "somebody", **file, content=b"words")


def test_a_file_that_is_not_kept_is_said(room: Conversation) -> None:
    with dropping("turnlog_upload"), pytest.raises(NotStored, match="turnlog_upload"):
        keep_file(room)


def test_a_draft_that_is_not_kept_is_said(room: Conversation) -> None:
    with dropping("turnlog_draft"), pytest.raises(NotStored, match="turnlog_draft"):
        drafts.keep(room.pk, uuid.uuid4(), 1, "half")


@pytest.mark.parametrize("make", [lambda room: Conversation.objects.create(), Conversation.fork])
def test_a_conversation_that_is_not_kept_is_said(
    room: Conversation, make: Callable[[Conversation], Any]
) -> None:
    before = [*stored(), Conversation.objects.count()]
    with dropping("turnlog_conversation"), pytest.raises(NotStored, match="turnlog_conversation"):
        make(room)
    assert [*stored(), Conversation.objects.count()] == before


def test_a_fork_a_hold_and_an_erasure_are_appends(room: Conversation) -> None:
    before = [*stored(), Conversation.objects.count()]
    with dropping("turnlog_event"):
        for act in (room.fork, lambda: room.hold(reason="r"), lambda: room.erase(reason="r")):
            with pytest.raises(NotStored):
                act()
    assert [*stored(), Conversation.objects.count()] == before


@pytest.mark.parametrize("condition", ["", "NEW.version = 3"])
def test_positions_that_are_not_kept_are_said(room: Conversation, condition: str) -> None:
    sequence()
    other = Conversation.objects.create()
    append(other.pk, [NewEvent(ConversationCleared())] * 4)
    before = stored()
    some = dropping("turnlog_position", condition=condition)
    with some, pytest.raises(NotStored, match="turnlog_position"):
        sequence()
    assert stored() == before
    assert sequence() == 5


def test_a_waiting_row_that_is_not_deleted_is_said(room: Conversation) -> None:
    append(room.pk, [NewEvent(ConversationCleared())])
    with dropping("turnlog_pending", "DELETE"), pytest.raises(NotStored, match="turnlog_pending"):
        sequence()
    assert sequence() == 1


def test_a_waiting_row_that_is_doubled_stops_nobody(room: Conversation) -> None:
    row = "INSERT INTO turnlog_pending (stream_id, first, last) SELECT stream_id, first, last"
    append(room.pk, [NewEvent(ConversationCleared())] * 2)
    execute(f"{row} FROM turnlog_pending")
    append(room.pk, [NewEvent(ConversationCleared())])
    assert sequence() == 3
    assert not Pending.objects.exists()
    assert list(Verifier().whole()) == []


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.ENVIRONMENT, SigningKey("t", bytes(32)).secret())
    monkeypatch.setattr(tiles, "HEIGHT", 1)
    monkeypatch.setattr(tiles, "WIDTH", 2)


@pytest.mark.parametrize("table", ["turnlog_signed_checkpoint", "turnlog_tile"])
def test_a_checkpoint_that_is_not_kept_is_said(room: Conversation, key: None, table: str) -> None:
    with dropping(table), pytest.raises(NotStored, match=table):
        checkpoint_log()
    assert not SignedCheckpoint.objects.exists()
    checkpoint_log()
    assert Tile.objects.exists()


ERASED = {
    "turnlog_event": "UPDATE",
    "turnlog_message": "DELETE",
    "turnlog_content": "DELETE",
    "turnlog_draft": "DELETE",
    "turnlog_upload": "DELETE",
}


@pytest.mark.parametrize("table", ERASED)
def test_an_erasure_that_the_database_does_not_carry_out_has_no_receipt(
    room: Conversation, table: str
) -> None:
    prompt = Prompt("m", system_prompt="You are Ada's tutor.", previous={"messages": []})
    turn = room.start_turn("my number is ...", prompt=prompt)
    room.record_turn("my number is ...", AIMessage("d"), turn_id=turn.turn_id)
    drafts.keep(room.pk, turn.turn_id, 1, "half")
    keep_file(room)
    before = [*stored(), Draft.objects.count(), Upload.objects.count()]
    refused = pytest.raises((NotStored, ErasureFailed), match=table)
    with dropping(table, ERASED[table]), refused:
        room.erase(reason="request 7")
    assert [*stored(), Draft.objects.count(), Upload.objects.count()] == before
    assert all(event.payload is not None for event in read(room.pk))
    assert room.erase(reason="request 7").events


@pytest.mark.postgresql
def test_words_that_a_trigger_brings_back_have_no_receipt(room: Conversation) -> None:
    execute(
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
        "CREATE TRIGGER zzz_theirs BEFORE UPDATE ON turnlog_event"
        " FOR EACH ROW EXECUTE FUNCTION theirs()",
    )
    try:
        with pytest.raises(NotStored, match="found them there"):
            room.erase(reason="request 7")
    finally:
        execute("DROP TRIGGER zzz_theirs ON turnlog_event", "DROP FUNCTION theirs()")
    assert all(event.payload is not None for event in read(room.pk))


def test_a_title_that_stays_has_no_receipt(room: Conversation) -> None:
    room.title = "Ada"
    room.save()
    with dropping("turnlog_conversation", "UPDATE"), pytest.raises(NotStored):
        room.erase(reason="request 7")
    assert Conversation.objects.get(pk=room.pk).title == "Ada"
    assert all(event.payload is not None for event in read(room.pk))


def test_a_pseudonym_that_is_not_kept_is_said(room: Conversation, user: Any) -> None:
    before = stored()
    with dropping("turnlog_actor"), pytest.raises(NotStored, match="turnlog_actor"):
        room.record_turn("e", AIMessage("f"), user=user)
    assert stored() == before
    assert room.record_turn("e", AIMessage("f"), user=user)[0].actor_id is not None


def test_a_pseudonym_that_stays_is_not_forgotten(user: Any) -> None:
    from turnlog.events.erasure.forgetting import forget_user

    Conversation.objects.create(user=user).record_turn("a", AIMessage("b"), user=user)
    with dropping("turnlog_actor", "DELETE"), pytest.raises(NotStored, match="turnlog_actor"):
        forget_user(user, reason="request 7")
    assert Actor.objects.filter(user=user).exists()


# What is there that is not turnlog's


@pytest.mark.parametrize("table", [*WRITTEN, "turnlog_content", "turnlog_conversation"])
def test_what_is_not_ours_is_named(room: Conversation, table: str) -> None:
    assert foreign_on_all() == []
    assert check_foreign(None, databases=["default"]) == []
    with dropping(table):
        [each] = foreign_on_all()
        assert (each.table, each.afterwards) == (table, False)
        [warning] = check_foreign(None, databases=["default"])
        assert warning.id == "turnlog.W006"
        assert f"trigger {each.name} on {table}" in warning.msg
        # The message list can be made again; it is no part of what was written.
        expected = [] if table == "turnlog_message" else [table]
        assert [problem.what for problem in Verifier().whole()] == expected


def test_one_of_our_names_elsewhere_is_not_ours(room: Conversation) -> None:
    name = "turnlog_event_update"
    if connection.vendor == "sqlite":
        pytest.skip("a name is there once")
    execute(
        f"CREATE TRIGGER {name} BEFORE INSERT ON turnlog_pending"
        " FOR EACH ROW EXECUTE FUNCTION turnlog_refuse()"
    )
    try:
        assert [str(each) for each in foreign_on_all()] == [f"trigger {name} on turnlog_pending"]
    finally:
        execute(f"DROP TRIGGER {name} ON turnlog_pending")


THEIRS = {
    "a policy": (
        "CREATE POLICY theirs ON turnlog_event USING (false)",
        "row level security policy theirs on turnlog_event",
    ),
    "an heir": (
        "CREATE TABLE theirs () INHERITS (turnlog_event)",
        "inheriting table theirs on turnlog_event",
    ),
    "no durability": (
        "ALTER TABLE turnlog_pending SET UNLOGGED",
        "lack of durability UNLOGGED on turnlog_pending",
    ),
    "a session that replicates": (
        "SET LOCAL session_replication_role = replica",
        "session_replication_role replica",
    ),
    "a trigger that comes after": (
        "CREATE TRIGGER theirs AFTER INSERT ON turnlog_event"
        " FOR EACH ROW EXECUTE FUNCTION turnlog_refuse()",
        "trigger theirs on turnlog_event",
    ),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("what", THEIRS)
def test_each_other_thing_is_named(what: str) -> None:
    statement, name = THEIRS[what]
    with transaction.atomic():
        execute(statement)
        assert [str(each) for each in foreign_on_all()] == [name]
        assert [w.id for w in check_foreign(None, databases=["default"])] == ["turnlog.W006"]
        found = [problem.found for problem in Verifier().whole()]
        assert found == ([] if "after" in what else [f"the {name}"])
        transaction.set_rollback(True)


# A stream never changes hands


def test_a_new_conversation_never_gets_the_stream_of_another(room: Conversation) -> None:
    """Even where the triggers are gone, and the numbers begin again."""
    with triggers_suspended(connection):
        empty_conversations(room.pk)
        with pytest.raises(AppendOnlyError, match="found those of another one"):
            Conversation.objects.create(title="another room")
        assert not Conversation.objects.exists()
        empty_conversations(room.pk)
    with pytest.raises(DatabaseError, match="found those of another one"):
        Conversation.objects.bulk_create([Conversation(title="another room")])
    # What the errors say to do.
    install_after_migrate(using="default")
    again = Conversation.objects.create(title="another room")
    assert again.pk > room.pk
    assert list(read(again.pk)) == []


def empty_conversations(next_number: int) -> None:
    if connection.vendor == "postgresql":
        execute(
            "TRUNCATE turnlog_conversation CASCADE",
            f"ALTER TABLE turnlog_conversation ALTER COLUMN id RESTART WITH {next_number}",
        )
    else:
        numbers = "sqlite_sequence WHERE name = 'turnlog_conversation'"
        execute("DELETE FROM turnlog_conversation", f"DELETE FROM {numbers}")
        if next_number > 1:
            row = f"('turnlog_conversation', {next_number - 1})"
            execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES {row}")
