"""`dumpdata` and `loaddata` move a log exactly, in every format, or refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from tests.events.proof.made import KEY
from tests.generating.bulk import write
from tests.generating.plan import Plan
from tests.generating.stage import set_up
from tests.second_database import another_database, log_in, migrate
from turnlog.core.fields import restore
from turnlog.events import accesses, drafts, reviews, uploads, views
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
from turnlog.events.prompt import Prompt
from turnlog.events.proof import keys
from turnlog.events.store.sequence import sequence
from turnlog.models import ConversationMessage

FORMATS = ("json", "jsonl", "xml", "yaml")
EXCLUDED = ["contenttypes", "auth.permission", "sessions", "tally"]
HARD = " two\r\nlines, \u2028 \x85 \ufffe ends with a space "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(keys.ENVIRONMENT, KEY.secret())
    return tmp_path


@pytest.fixture
def log(folder: Path, conversation: Any, user: Any) -> Any:
    """A log with some of everything: a full tile, a checkpoint, and appends without positions."""
    for _ in write(Plan(600, 20).streams(set_up(3), timezone.now())):
        pass
    outputs = [{"tool": "clock", "output": HARD}, {"tool": "draw", "output": bytes(70_000)}]
    conversation.record_turn(HARD, AIMessage("Hi\r"), outputs, user=user)
    first = conversation.record_turn("forget this", AIMessage("what?"), user=user)
    conversation.fork(user=user).record_turn("another way", AIMessage("Hm"), user=user)
    conversation.erase([first[0].turn_id], by=user, reason="request 1")
    conversation.hold(by=user, reason="case 7")
    conversation.title = " spaces\r"
    conversation.save()
    reviews.add_note(conversation.pk, HARD, by=user, quote=HARD)
    reviews.sign_off(conversation.pk, by=user, until=2, remark=HARD)
    views.save("hard", HARD, by=user)
    views.choose("hard", by=user)
    about: Any = {"page": "bundle", "conversations": [conversation.pk], "address": "192.0.2.7"}
    accesses.record("exported", by=user, query=HARD, reason="request 1", **about)
    sequence()
    call_command("checkpoint_log", stdout=StringIO())
    call_command("run_projections", once=True, stdout=StringIO())
    turn = Conversation.objects.create(user=user).start_turn(
        "is open", user=user, prompt=Prompt(system_prompt=HARD, previous={"messages": []})
    )
    drafts.keep(turn.event.stream_id, turn.turn_id, 1, HARD)
    file: Any = {"kind": "file", "name": HARD, "mime_type": "text/plain", "width": 0, "height": 0}
    uploads.keep(turn.event.stream_id, "somebody", **file, content=bytes(range(256)))
    assert Pending.objects.exists()
    return conversation


@pytest.fixture(scope="module")
def migrated(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[str]:
    """The name of a database that is migrated, and nothing more."""
    with (
        django_db_blocker.unblock(),
        another_database("migrated", tmp_path_factory.mktemp("migrated")) as alias,
    ):
        migrate(alias)
        name = str(connections[alias].settings_dict["NAME"])
        connections[alias].close()
        yield name


@pytest.fixture
def empty(folder: Path, migrated: str) -> Iterator[str]:
    with another_database("empty", folder, like=migrated) as alias:
        yield alias


def dumped(path: Path, alias: str = "default", **options: Any) -> Path:
    call_command("dumpdata", exclude=EXCLUDED, output=str(path), database=alias, **options)
    return path


def loaded(path: Path, alias: str) -> None:
    call_command("loaddata", str(path), database=alias, verbosity=0)


def rows_of(alias: str) -> dict[str, Any]:
    """Each table's rows, as its columns have them."""
    from django.apps import apps

    return {
        model._meta.db_table: list(model._base_manager.using(alias).order_by("pk").values())
        for label in ("turnlog_events", "turnlog_projections")
        for model in apps.get_app_config(label).get_models()
    }


def _readable(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def plain(rows: Any) -> Any:
    return json.loads(json.dumps(rows, default=_readable))


@pytest.mark.parametrize(
    "format",
    [FORMATS[0], *(pytest.param(each, marks=pytest.mark.slow_once) for each in FORMATS[1:])],
)
@pytest.mark.django_db(transaction=True)
def test_a_log_moves_exactly(log: Any, empty: str, folder: Path, format: str) -> None:
    before = rows_of("default")
    loaded(dumped(folder / f"log.{format}", format=format), empty)
    assert plain(rows_of(empty)) == plain(before)
    with log_in(empty, everything=True):
        out = StringIO()
        call_command("verify_log", stdout=out)
        assert "the log is intact" in out.getvalue()
        call_command("check_projections", "messages", "usage", "search", stdout=out)
        assert ", 0 unlike the log" in out.getvalue()
        goes_on(log.pk)


def goes_on(pk: int) -> None:
    """What is appended after the load gets numbers of its own, and all of it verifies."""
    positions = Position.objects.count()
    conversation = Conversation.objects.get(pk=pk)
    user = get_user_model().objects.get(username="ada")
    conversation.record_turn("and now?", AIMessage("Now"), user=user)
    new = Conversation.objects.create(user=user)
    new.record_turn("hello", AIMessage("Hi"), user=user)
    assert new.pk > Event.objects.exclude(stream_id=new.pk).order_by("-stream_id")[0].stream_id
    assert sequence() >= 5
    assert Position.objects.count() > positions
    assert SignedCheckpoint.objects.exists()
    assert Tile.objects.exists()
    call_command("checkpoint_log", verify=True, stdout=StringIO())
    found = [m.content for m in ConversationMessage.objects.get_histories(new, user)]
    assert found == ["hello", "Hi"]


@pytest.mark.parametrize(
    "options",
    [
        {"use_natural_foreign_keys": True, "use_natural_primary_keys": True},
        {"use_natural_foreign_keys": True},
        {"use_base_manager": True},
    ],
)
@pytest.mark.django_db(transaction=True)
def test_with_natural_keys_and_all_managers(
    log: Any, empty: str, folder: Path, options: dict[str, bool]
) -> None:
    loaded(dumped(folder / "log.json", **options), empty)
    with log_in(empty, everything=True):
        owner = Conversation.objects.get(pk=log.pk).user
        assert owner is not None
        assert owner.username == "ada"
        assert Actor.objects.get(user=owner).pk == log.owner_actor_id
        call_command("verify_log", stdout=StringIO())
        goes_on(log.pk)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_from_sqlite_to_postgresql(log: Any, empty: str, folder: Path) -> None:
    """There and back: what SQLite gave is what PostgreSQL had."""
    first = dumped(folder / "log.json")
    with another_database("small", folder, vendor="sqlite") as small:
        migrate(small)
        loaded(first, small)
        second = dumped(folder / "again.json", small)
    assert json.loads(second.read_text()) == json.loads(first.read_text())
    loaded(second, empty)
    with log_in(empty, everything=True):
        call_command("verify_log", stdout=StringIO())
        goes_on(log.pk)


@pytest.mark.django_db(transaction=True)
def test_a_log_is_loaded_into_no_other_log(log: Any, folder: Path) -> None:
    before = plain(rows_of("default"))
    path = dumped(folder / "log.json")
    with pytest.raises(CommandError, match="expected a database without conversations") as refused:
        loaded(path, "default")
    assert "\n" not in str(refused.value)
    assert plain(rows_of("default")) == before


@pytest.mark.django_db(transaction=True)
def test_a_changed_fixture_is_refused(log: Any, empty: str, folder: Path) -> None:
    path = dumped(folder / "log.json")
    rows = json.loads(path.read_text())
    # As Django itself writes times.
    event = next(row for row in rows if row["model"] == "turnlog_events.event")
    event["fields"]["recorded_at"] = event["fields"]["recorded_at"][:23] + "Z"
    refuse(folder, rows, empty, "does not have its hash")
    event["fields"]["recorded_at"] = json.loads(path.read_text())[rows.index(event)]["fields"][
        "recorded_at"
    ]
    # Half of what an erasure removes.
    event["fields"]["payload"] = None
    refuse(folder, rows, empty, "does not have its hash")


@pytest.mark.django_db(transaction=True)
def test_a_fixture_without_an_event_is_refused(log: Any, empty: str, folder: Path) -> None:
    rows = json.loads(dumped(folder / "log.json").read_text())
    events = [row for row in rows if row["model"] == "turnlog_events.event"]
    refuse(folder, [row for row in rows if row is not events[3]], empty, "expected version 4")


@pytest.mark.django_db(transaction=True)
def test_another_text_of_a_prompt_is_refused(log: Any, empty: str, folder: Path) -> None:
    rows = json.loads(dumped(folder / "log.json").read_text())
    text = next(row for row in rows if row["model"] == "turnlog_events.content")
    text["fields"]["text"] += "!"
    refuse(folder, rows, empty, "another text")


@pytest.mark.django_db(transaction=True)
def test_a_blob_that_is_missing_or_another_is_refused(log: Any, empty: str, folder: Path) -> None:
    rows = json.loads(dumped(folder / "log.json").read_text())
    [blob] = (row for row in rows if row["model"] == "turnlog_events.blob")
    refuse(folder, [row for row in rows if row is not blob], empty, "it lacks the blob")
    use = next(row for row in rows if row["model"] == "turnlog_events.blobuse")
    refuse(folder, [row for row in rows if row is not use], empty, "found no row for version")
    blob["fields"]["data"] = "AAAA" + blob["fields"]["data"]
    refuse(folder, rows, empty, "has other bytes")


def refuse(folder: Path, rows: Any, alias: str, why: str) -> None:
    path = folder / "changed.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(CommandError, match=why) as refused:
        loaded(path, alias)
    assert "\n" not in str(refused.value)
    assert not Event.objects.using(alias).exists()
    assert not get_user_model().objects.using(alias).exists()


@pytest.mark.django_db(transaction=True)
def test_events_dumped_without_their_places_get_some(log: Any, empty: str, folder: Path) -> None:
    """Such as those that were appended while `dumpdata` was between two tables."""
    path = dumped(folder / "log.json")
    rows = json.loads(path.read_text())
    places = [row for row in rows if row["model"] == "turnlog_events.position"]
    kept = [row for row in rows if row is not places[-1] and "pending" not in row["model"]]
    path.write_text(json.dumps(kept))
    loaded(path, empty)
    with log_in(empty, everything=True):
        sequence()
        assert Position.objects.count() == Event.objects.count()
        call_command("verify_log", stdout=StringIO())


@pytest.mark.django_db(transaction=True)
def test_places_dumped_without_their_events_are_refused(log: Any, empty: str, folder: Path) -> None:
    rows = json.loads(dumped(folder / "log.json").read_text())
    events = [row for row in rows if row["model"] == "turnlog_events.event"]
    rows = [row for row in rows if row is not events[-1]]
    refuse(folder, rows, empty, "written to while it was dumped")


@pytest.mark.django_db(transaction=True)
def test_events_without_their_conversation_are_refused(log: Any, empty: str, folder: Path) -> None:
    """As `dumpdata turnlog_events.event` and `--pks` write them."""
    rows = json.loads(dumped(folder / "log.json").read_text())
    rooms = [row for row in rows if row["model"] == "turnlog_events.conversation"]
    for left_out in (rooms, rooms[-1:]):
        kept = [row for row in rows if row not in left_out]
        refuse(folder, kept, empty, f"of conversation {left_out[0]['pk']} and lacks its row")


@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_whose_positions_are_missing_is_refused(
    log: Any, empty: str, folder: Path
) -> None:
    """The events would get other positions than those that were signed."""
    rows = json.loads(dumped(folder / "log.json").read_text())
    rows = [row for row in rows if row["model"] != "turnlog_events.position"]
    refuse(folder, rows, empty, "signed checkpoint of")


@pytest.mark.django_db(transaction=True)
def test_after_a_refused_fixture_a_whole_one_is_loaded(log: Any, empty: str, folder: Path) -> None:
    path = dumped(folder / "log.json")
    rows = json.loads(path.read_text())
    rooms = [row for row in rows if row["model"] == "turnlog_events.conversation"]
    refuse(folder, [row for row in rows if row not in rooms], empty, "lacks its row")
    loaded(path, empty)
    assert rows_of(empty) == rows_of("default")


@pytest.mark.django_db
def test_rows_of_other_apps_are_loaded_as_ever(log: Any, folder: Path) -> None:
    path = folder / "users.json"
    call_command("dumpdata", "auth.user", output=str(path))
    loaded(path, "default")


@given(text=st.text(st.characters(exclude_categories=["Cs"])), format=st.sampled_from(FORMATS))
def test_every_text_survives_every_format(text: str, format: str) -> None:
    texts = [text.replace("\0", ""), f"turnlog-text:{text}".replace("\0", "")]
    written = serializers.serialize(format, [Content("key", each) for each in texts])
    found = [each.object for each in serializers.deserialize(format, written)]
    for content in found:
        restore(content)
    assert [content.text for content in found] == texts


def test_ordinary_texts_are_written_as_they_are() -> None:
    written = serializers.serialize("json", [Content("key", 'Grüße,\n"안녕" 👋')])
    assert "turnlog-text" not in written
