"""Rebuilding whole read models: cut off and resumed, by many hands, once at a time."""

from __future__ import annotations

import json
import signal
from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import OperationalError
from langchain_core.messages import AIMessage

from tests.project.tally.models import Tally
from turnlog.core.errors import ProjectionFailed, RebuildCutOff, RebuildInProgress
from turnlog.events.models import Conversation
from turnlog.projections.engine import chunks as by_chunks
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.checkpoints import NEVER_BUILT
from turnlog.projections.engine.rebuild import rebuild
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.versions import note_versions, outdated
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Checkpoint, ConversationMessage

from .processes import run, start, wait_until

pytestmark = pytest.mark.django_db

MESSAGES, TALLY = named(["messages", "tally"])
ROOMS = 12


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    rooms = [Conversation.objects.create() for _ in range(ROOMS)]
    for number, room in enumerate(rooms):
        room.record_turn("a" * number, AIMessage("ok"))
    monkeypatch.setattr(by_chunks, "STREAMS", 3)
    return [room.pk for room in rooms]


def contents() -> list[Any]:
    columns = ("conversation_id", "version", "user_id", "turn_id", "created_at")
    return list(ConversationMessage.objects.order_by(*columns).values_list(*columns))


def command(*arguments: str) -> Any:
    out = StringIO()
    call_command("rebuild_projections", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_each_conversation_is_met_once(rooms: list[int]) -> None:
    done = list(rebuild(MESSAGES))
    assert [stream for chunk in done for stream in chunk.streams] == rooms
    assert [len(chunk.streams) for chunk in done] == [3, 3, 3, 3]
    assert sum(chunk.events for chunk in done) == 3 * ROOMS


def test_a_chunk_is_not_longer_than_its_events_allow(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_chunks, "EVENTS", 7)
    assert [chunk.events for chunk in by_chunks.chunks()] == [6] * 6


def test_what_is_wrong_is_put_right(rooms: list[int]) -> None:
    before = contents()
    ConversationMessage.objects.filter(conversation_id__in=rooms[::2]).delete()
    assert set(differences(MESSAGES, rooms)) == set(rooms[::2])
    facts = command("messages")
    assert facts == {"projections": ["messages"], "conversations": ROOMS, "events": 3 * ROOMS}
    assert contents() == before


def test_a_dry_run_says_what_would_change_and_changes_nothing(rooms: list[int]) -> None:
    Worker([TALLY]).catch_up()
    ConversationMessage.objects.filter(conversation_id=rooms[0], version=2).delete()
    Tally.objects.filter(conversation_id=rooms[1]).update(letters=99)
    before = contents(), list(Tally.objects.values())
    facts = command("messages", "tally", "--dry-run")
    assert facts["would_change"] == {
        str(rooms[0]): ["messages: version 2 is missing"],
        str(rooms[1]): ["tally: the row: letters is not what the log says"],
    }
    assert before == (contents(), list(Tally.objects.values()))


def test_a_projection_that_was_never_built_is_built_by_a_rebuild(rooms: list[int]) -> None:
    command("tally")
    assert Tally.objects.count() == ROOMS
    found = Checkpoint.objects.get(name="tally")
    assert (found.version, found.position) == (1, 3 * ROOMS)


def test_a_worker_waits_while_a_projection_is_first_built(rooms: list[int]) -> None:
    """Or readers would see the ends of conversations before their beginnings."""
    building = rebuild(TALLY)
    next(building)
    Conversation.objects.get(pk=rooms[-1]).record_turn("more", AIMessage("ok"))
    Worker([TALLY]).turn()
    assert set(Tally.objects.values_list("messages", flat=True)) == {2}
    assert len(list(building)) == 3
    assert Tally.objects.get(conversation_id=rooms[-1]).messages == 2
    Worker([TALLY]).catch_up()
    assert Tally.objects.get(conversation_id=rooms[-1]).messages == 4
    assert differences(TALLY, rooms) == {}


def test_two_rebuilds_of_the_same_thing_are_one_too_many(rooms: list[int]) -> None:
    under_way = rebuild(MESSAGES)
    next(under_way)
    with pytest.raises(RebuildInProgress, match=r"rebuilt already, by process \d+ on .*; wait"):
        next(rebuild(MESSAGES))
    with pytest.raises(CommandError, match="is being rebuilt already") as caught:
        command("messages")
    assert caught.value.returncode == 2
    list(under_way)
    list(rebuild(MESSAGES))


def test_an_unfinished_rebuild_is_resumed_where_it_was(rooms: list[int]) -> None:
    begun = rebuild(MESSAGES)
    next(begun)
    next(begun)
    begun.close()
    resumed = rebuild(MESSAGES, resume=True)
    assert [chunk.streams for chunk in resumed] == [rooms[6:9], rooms[9:]]
    with pytest.raises(CommandError, match="no rebuild to resume: none was cut off;"):
        command("messages", "--resume")


def test_a_rebuild_of_another_version_is_not_resumed(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = rebuild(MESSAGES)
    next(begun)
    begun.close()
    monkeypatch.setattr(type(MESSAGES), "version", 2)
    with pytest.raises(CommandError, match="made rows of version 1, but the projection is now"):
        command("messages", "--resume")


@pytest.mark.django_db(transaction=True)
def test_a_rebuild_that_was_killed_is_resumed(rooms: list[int]) -> None:
    """SIGKILL, in the middle of whatever it was doing; people read and write all the while."""
    Worker([TALLY]).catch_up()
    Tally.objects.update(letters=-1)
    halt = {"TURNLOG_TEST_STREAMS": "1", "TURNLOG_TEST_HALT": "a" * 6}
    process = start("rebuild_projections", "tally", **halt)
    wait_until(lambda: Checkpoint.objects.get(name="tally").rebuilt_until >= rooms[1], process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = Checkpoint.objects.get(name="tally")
    done = Tally.objects.exclude(letters=-1).count()
    assert found.rebuild_version == 1
    if found.rebuilt_until < rooms[-1]:
        assert 2 <= done < ROOMS
    Conversation.objects.get(pk=rooms[0]).record_turn("more", AIMessage("ok"))
    code, out, err = run("rebuild_projections", "tally", "--resume", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["conversations"] <= ROOMS - 2
    assert differences(TALLY, rooms) == {}
    assert Tally.objects.get(conversation_id=rooms[0]).letters == 8
    assert Checkpoint.objects.get(name="tally").rebuild_version is None


@pytest.mark.django_db(transaction=True)
def test_many_hands_make_the_same_rows(rooms: list[int]) -> None:
    Worker([TALLY]).catch_up()
    before = contents(), list(Tally.objects.order_by("conversation").values("letters", "messages"))
    ConversationMessage.objects.all().delete()
    Tally.objects.update(letters=-1)
    code, out, err = run(
        "rebuild_projections", "messages", "tally", "--workers=2", TURNLOG_TEST_STREAMS="2"
    )
    assert (code, err) == (0, "")
    assert out == f"messages, tally: {ROOMS} conversations, {3 * ROOMS} events rebuilt\n"
    after = contents(), list(Tally.objects.order_by("conversation").values("letters", "messages"))
    assert after == before


@pytest.mark.django_db(transaction=True)
def test_a_projection_that_raises_in_another_process_is_named(rooms: list[int]) -> None:
    code, out, err = run("rebuild_projections", "tally", "--workers=2", TURNLOG_TEST_POISON="aaa")
    assert (code, out) == (2, "")
    assert err == (
        f"CommandError: projection 'tally' could not apply version 2 of conversation {rooms[3]}:"
        " ValueError: poison; fix the projection and run it again\n"
    )


def test_a_projection_that_raises_changes_nothing(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker([TALLY]).catch_up()
    before = list(Tally.objects.values())
    monkeypatch.setenv("TURNLOG_TEST_POISON", "aa")
    with pytest.raises(ProjectionFailed) as caught:
        list(rebuild(TALLY))
    assert (caught.value.stream_id, caught.value.version) == (rooms[2], 2)
    assert list(Tally.objects.values()) == before
    with pytest.raises(CommandError, match="ValueError: poison; fix the projection"):
        command("tally", f"--conversation={rooms[2]}")
    assert list(Tally.objects.values()) == before


def test_a_changed_projection_is_seen_and_rebuilt(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker([TALLY]).catch_up()
    list(rebuild(MESSAGES))
    assert outdated() == []
    monkeypatch.setattr(type(TALLY), "version", 2)
    [sentence] = outdated()
    assert sentence == (
        "projection 'tally' is version 2, but its rows were made by version 1; run"
        " `manage.py rebuild_projections tally`"
    )
    # Until then the worker leaves the old rows alone.
    Conversation.objects.get(pk=rooms[0]).record_turn("more", AIMessage("ok"))
    Worker([TALLY]).catch_up()
    assert Tally.objects.get(conversation_id=rooms[0]).messages == 2
    command("tally")
    assert outdated() == []
    assert Tally.objects.get(conversation_id=rooms[0]).messages == 4


def test_an_inline_projection_new_to_an_old_log_must_be_built(rooms: list[int]) -> None:
    Checkpoint.objects.filter(name="messages").delete()
    [sentence] = outdated()
    assert "projection 'messages' was never built from the existing events" in sentence
    note_versions("default")
    assert len(outdated()) == 1
    command("messages")
    assert outdated() == []


def test_of_an_empty_log_nothing_must_be_built() -> None:
    Checkpoint.objects.all().delete()
    note_versions("default")
    assert outdated() == []


@pytest.mark.django_db(transaction=True)
def test_stale_rows_are_seen_by_the_check_of_the_database(rooms: list[int]) -> None:
    list(rebuild(MESSAGES))
    checking = ("check", "--database", "default")
    assert "turnlog.W001" not in run(*checking)[2]
    Checkpoint.objects.filter(name="messages").update(version=7)
    code, _, err = run(*checking)
    assert code == 0
    assert "(turnlog.W001) projection 'messages' is version 1, but its rows were made by" in err


def test_other_checks_ask_no_database(rooms: list[int], django_assert_num_queries: Any) -> None:
    Checkpoint.objects.filter(name="messages").update(version=7)
    with django_assert_num_queries(0):
        assert "turnlog.W001" not in {found.id for found in run_checks()}
    assert "turnlog.W001" in {found.id for found in run_checks(databases=["default"])}


def test_a_worker_that_starts_warns_of_stale_rows(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Worker, "run", lambda self: None)
    Checkpoint.objects.filter(name="messages").update(version=7)
    call_command("run_projections", stdout=StringIO())
    assert "projection 'messages' is version 1, but its rows were made by" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workers=0"], "--workers must be 1 or more, found 0"),
        (["--conversation=1", "--resume"], "omit --conversation or --resume"),
        (["--conversation=999999"], "there is no conversation 999999;"),
        (["tolly"], "unknown projection 'tolly'; known projections: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        command(*arguments)
    assert sentence in str(caught.value)
    assert caught.value.returncode == 2


def test_a_rebuild_that_cannot_finish_is_not_taken_for_done(rooms: list[int]) -> None:
    Checkpoint.objects.filter(name="messages").delete()
    begun = rebuild(MESSAGES)
    next(begun)
    begun.close()
    assert Checkpoint.objects.get(name="messages").version == NEVER_BUILT
    assert len(outdated()) == 1


def test_a_projection_that_is_kept_in_another_way_must_be_rebuilt(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its position says nothing of rows that were made inline, or would count them twice."""
    Worker([TALLY]).catch_up()
    wanted = list(Tally.objects.order_by("conversation").values("messages", "letters"))
    for inline, sentence in (
        (True, "projection 'tally' is inline now, but its rows were kept by a worker; run"),
        (False, "projection 'tally' is by a worker now, but its rows were kept inline; run"),
    ):
        monkeypatch.setattr(type(TALLY), "inline", inline)
        assert sentence in outdated()[-1]
        Worker([TALLY]).catch_up()
        command("tally")
        Worker([TALLY]).catch_up()
        assert list(Tally.objects.order_by("conversation").values("messages", "letters")) == wanted


def test_resuming_takes_up_those_that_were_cut_off(rooms: list[int]) -> None:
    begun = rebuild(MESSAGES)
    next(begun)
    begun.close()
    assert command("--resume")["projections"] == ["messages"]


def test_what_is_said_before_a_resume_is_not_lost(
    rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the rows were kept inline before: the position stays that of the claim."""
    Worker([TALLY]).catch_up()
    Checkpoint.objects.filter(name="tally").update(inline=True, position=0)
    begun = rebuild(TALLY)
    next(begun)
    begun.close()
    Conversation.objects.get(pk=rooms[0]).record_turn("more", AIMessage("ok"))
    list(rebuild(TALLY, resume=True))
    Worker([TALLY]).catch_up()
    assert differences(TALLY, rooms) == {}
    assert Tally.objects.get(conversation_id=rooms[0]).messages == 4


def test_rows_that_were_kept_inline_are_rebuilt_one_by_one_too(rooms: list[int]) -> None:
    Worker([TALLY]).catch_up()
    Checkpoint.objects.filter(name="tally").update(inline=True, position=0)
    command("tally", f"--conversation={rooms[2]}")
    assert Tally.objects.get(conversation_id=rooms[2]).messages == 2
    assert command("tally", "--dry-run")["would_change"] == {}


def test_a_dry_run_of_what_was_never_built(rooms: list[int]) -> None:
    assert len(command("tally", "--dry-run")["would_change"]) == ROOMS


def test_who_never_ends_is_named(rooms: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_chunks, "is_lock_timeout", lambda error: True)

    def refuse(part: Any) -> None:
        raise OperationalError

    with pytest.raises(RebuildCutOff, match=f"conversation {rooms[0]} is written to in a"):
        by_chunks.giving_way(rooms[:1], refuse)
