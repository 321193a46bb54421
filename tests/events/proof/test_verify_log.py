"""verify_log in parts, beside writers, and in little memory."""

from __future__ import annotations

import datetime as dt
import gc
import json
import threading
import tracemalloc
from io import BytesIO, StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from langchain_core.messages import AIMessage

from tests.events.hashes import hash_of
from turnlog.core.errors import LogDamaged
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.proof import keys, rows
from turnlog.events.proof.bundle import write_bundle
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.keys import known_keys
from turnlog.events.proof.notes import SigningKey
from turnlog.events.proof.raw import snapshot
from turnlog.events.proof.selecting import select
from turnlog.events.proof.verification import Verifier, require_intact
from turnlog.events.proof.walk import verify
from turnlog.events.store.sequence import sequence
from turnlog.events.types import ConversationCleared

from .administrator import execute, undone


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.ENVIRONMENT, SigningKey("example.com/chat", bytes(32)).secret())


def run(*arguments: str) -> tuple[int, Any]:
    out = StringIO()
    try:
        call_command("verify_log", "--json", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def streams(count: int, events: int) -> list[int]:
    pks = [Conversation.objects.create().pk for _ in range(count)]
    for pk in pks:
        append(pk, [NewEvent(ConversationCleared(f"reason {pk}"))] * (events - 1))
    return pks


@pytest.mark.django_db
def test_only_what_came_since_the_checkpoint() -> None:
    with pytest.raises(
        CommandError, match="a signed checkpoint to start from, found none"
    ) as caught:
        run("--since-checkpoint")
    assert caught.value.returncode == 2
    old, new = streams(2, 4)
    checkpoint_log()
    append(new, [NewEvent(ConversationCleared("later"))] * 3)
    code, facts = run("--since-checkpoint")
    assert (code, facts["events"], facts["conversations"]) == (0, 3, 1)
    append(streams(1, 2)[0], [NewEvent(ConversationCleared("later"))])
    sequence()
    assert run("--since-checkpoint")[1]["events"] == 6
    # What is older is relied on, but for the events that the new ones follow.
    execute("UPDATE turnlog_event SET metadata = '[]' WHERE stream_id = %s", old)
    assert run("--since-checkpoint")[0] == 0
    execute("UPDATE turnlog_event SET hash = digest WHERE stream_id = %s AND version = 4", new)
    code, facts = run("--since-checkpoint")
    assert code == 1
    # The last events before the checkpoint are in no full tile: the tree is made of them.
    assert facts["problems"][0]["what"] == "stored tree of 8 events"
    assert (facts["first"]["stream_id"], facts["first"]["version"]) == (new, 5)


@pytest.mark.django_db
def test_what_new_events_follow_must_be_in_the_signed_tree() -> None:
    [pk] = streams(1, 300)
    append(pk, [NewEvent(ConversationCleared("more"))] * 300)
    [other] = streams(1, 10)
    checkpoint_log()
    append(pk, [NewEvent(ConversationCleared("later"))])
    assert run("--since-checkpoint")[0] == 0
    with undone():
        # Its hash stands in no tile that is computed anew.
        execute("UPDATE turnlog_event SET hash = digest WHERE stream_id = %s AND version < 512", pk)
        assert run("--since-checkpoint")[0] == 0, "older events are relied on"
    append(other, [NewEvent(ConversationCleared("later"))])
    execute(
        "UPDATE turnlog_position SET version = 700 WHERE stream_id = %s AND version = 10", other
    )
    code, facts = run("--since-checkpoint")
    assert code == 1
    assert (other, 10, "event") in {
        (problem["stream_id"], problem["version"], problem["what"]) for problem in facts["problems"]
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE turnlog_event SET metadata = '[]' WHERE version = 6", "hash"),
        ("DELETE FROM turnlog_event WHERE version = 6", "event"),
        ("DELETE FROM turnlog_event WHERE version = 5", "version"),
        ("DELETE FROM turnlog_event WHERE version = 4", "event"),
        ("DELETE FROM turnlog_tile", None),
        ("DELETE FROM turnlog_position WHERE version = 4", "signed checkpoint"),
    ],
)
def test_changes_since_the_checkpoint_are_found(change: str, what: str | None) -> None:
    [pk] = streams(1, 4)
    checkpoint_log()
    append(pk, [NewEvent(ConversationCleared("later"))] * 2)
    execute(change)
    code, facts = run("--since-checkpoint") if what != "signed checkpoint" else (1, None)
    assert code == (1 if what else 0)
    if facts and what:
        assert what in {problem["what"] for problem in facts["problems"]}


@pytest.mark.django_db
def test_a_sample_each_day_is_all_of_it_in_the_end() -> None:
    pks = streams(7, 2)
    checkpoint_log()
    seen = [run(f"--sample={part}/3")[1]["conversations"] for part in (1, 2, 3)]
    assert sum(seen) == len(pks)
    execute("UPDATE turnlog_event SET metadata = '[]' WHERE stream_id = %s", pks[0])
    bad = [run(f"--sample={part}/3")[0] for part in (1, 2, 3)]
    assert sorted(bad) == [0, 0, 1]

    class Clock(dt.datetime):
        day = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

        @classmethod
        def now(cls, tz: Any = None) -> dt.datetime:
            return cls.day

    found = []
    with mock.patch("turnlog.events.management.commands.verify_log.dt.datetime", Clock):
        for _ in range(3):
            found.append(run("--sample=3")[0])
            Clock.day += dt.timedelta(days=1)
    assert sorted(found) == [0, 0, 1]


@pytest.mark.django_db
@pytest.mark.parametrize(("events", "what"), [(3, "stored tree of 3 events"), (256, "leaf")])
def test_a_sample_is_held_against_the_signed_tree(events: int, what: str) -> None:
    """Somebody who computes a chain anew is found without the whole log being read."""
    [pk] = streams(1, events)
    checkpoint_log()
    execute("UPDATE turnlog_event SET metadata = '[]' WHERE version = 3")
    previous = bytes(Event.objects.get(version=2).hash)
    for event in Event.objects.filter(version__gte=3).order_by("version"):
        previous = hash_of(event, previous)
        execute("UPDATE turnlog_event SET hash = %s WHERE id = %s", previous, event.pk)
    for arguments in ("--sample=1/1", f"--conversation={pk}"):
        code, facts = run(arguments)
        assert code == 1
        assert facts["problems"][0]["what"] == what


@pytest.mark.parametrize("sample", ["0", "x", "4/3", "0/3", "-1", "1/0", "1/2/3", "1e3"])
def test_samples_that_are_none(sample: str) -> None:
    with pytest.raises(CommandError, match="expected N, or K/N with K from 1 to N"):
        call_command("verify_log", f"--sample={sample}")


@pytest.mark.django_db
def test_one_way_at_a_time_and_keys_and_notes_that_are_none(tmp_path: Any) -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        call_command("verify_log", "--since-checkpoint", "--sample=3")
    for argument, sentence in (
        ("--key=hello", "--key: expected a public key"),
        ("--checkpoint=/nowhere", "/nowhere, but it cannot be read: No such file"),
    ):
        with pytest.raises(CommandError, match=sentence) as caught:
            call_command("verify_log", argument)
        assert caught.value.returncode == 2
    note = tmp_path / "note"
    note.write_text("no note\n")
    code, facts = run(f"--checkpoint={note}")
    assert code == 1
    assert facts["problems"][0]["what"] == str(note)


@pytest.mark.django_db
def test_the_first_bad_position_comes_first_and_the_rest_is_counted() -> None:
    early, late = streams(2, 120)
    checkpoint_log()
    # The stream with the lower number comes first in the verification, not in the log.
    execute("UPDATE turnlog_event SET schema = 2 WHERE stream_id = %s AND version = 9", late)
    execute("UPDATE turnlog_event SET schema = 2 WHERE stream_id = %s AND version > 10", early)
    code, facts = run()
    assert code == 1
    assert facts["first"]["position"] == 11
    assert facts["problem_count"] == 111
    assert len(facts["problems"]) == 100
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_log", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].endswith(": 111 problems")
    assert lines[1].startswith(f"first position 11, conversation {early}, version 11: hash:")
    assert lines[-1] == "in all: 111 of hash"


@pytest.mark.django_db(transaction=True)
def test_while_people_chat_nothing_is_wrong(settings: Any, tmp_path: Any) -> None:
    """What is appended, sequenced, signed and kept meanwhile is seen whole or not at all."""
    settings.TURNLOG = {"CHECKPOINT_PATH": tmp_path}
    pks = [Conversation.objects.create().pk for _ in range(2)]
    stop = threading.Event()
    failed: list[BaseException] = []

    def chat(pk: int) -> None:
        try:
            conversation = Conversation.objects.get(pk=pk)
            while not stop.is_set():
                conversation.record_turn("one", AIMessage("two"))
                if pk == pks[0]:
                    checkpoint_log()
        except Exception as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=chat, args=(pk,)) for pk in pks]
    for thread in threads:
        thread.start()
    try:
        checked = 0
        while checked < 100 and not failed:
            verifier = Verifier(known_keys())
            assert [str(problem) for problem in verifier.whole()] == []
            checked = verifier.events
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_reading_that_was_given_up_disturbs_nobody() -> None:
    """Its cursor in the database ends with the snapshot, however long the reading is kept."""
    streams(1, 3000)
    with snapshot():
        given_up = rows.events()
        next(given_up)
    with transaction.atomic():
        given_up.close()
        assert Event.objects.count() == 3000


@pytest.mark.django_db
def test_what_is_found_first_is_told_again_and_again() -> None:
    """A verification that ends at the first problem leaves nothing behind: no lock, no cursor."""
    streams(2, 20)
    execute("UPDATE turnlog_event SET metadata = '[]' WHERE version = 3")
    for _ in range(100):
        with pytest.raises(LogDamaged):
            require_intact()


@pytest.mark.django_db
def test_a_look_at_one_event_leaves_nothing_in_memory() -> None:
    [pk] = streams(1, 3)

    def look(times: int) -> int:
        gc.collect()
        tracemalloc.start()
        with snapshot():
            for _ in range(times):
                assert rows.first(f"WHERE e.stream_id = {pk} AND e.version = 2")
            found = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return found

    look(10)
    assert look(400) < look(200) + 200 * 500


@pytest.mark.django_db
def test_memory_does_not_grow_with_the_log() -> None:
    def peaks() -> tuple[int, int, int]:
        checkpoint_log()
        bundle = BytesIO()
        found = []

        def verify_all() -> None:
            assert list(Verifier(known_keys()).whole()) == []

        class Nothing(BytesIO):
            def write(self, data: Any) -> int:
                return len(data)

        write_bundle(bundle, select(), known_keys())
        bundle.seek(0)
        for work in (
            verify_all,
            lambda: write_bundle(Nothing(), select(), known_keys()),
            lambda: verify(bundle),
        ):
            gc.collect()
            tracemalloc.start()
            work()
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return found[0], found[1], found[2]

    streams(2, 1500)
    few = peaks()
    for _ in range(2):
        streams(2, 1500)
    # Thrice the events, each of which takes more than half a kilobyte. What still grows here has an
    # end: the tiles that are kept at hand, 64 of 256 hashes.
    tiles = 64 * 256 * 80
    assert 2 * tiles < 6000 * 500
    assert all(more < once + tiles for more, once in zip(peaks(), few, strict=True))
