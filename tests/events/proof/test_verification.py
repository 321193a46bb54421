"""verify_log finds what somebody changed behind the triggers' back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from langchain_core.messages import AIMessage

from turnlog.events.models import Event
from turnlog.events.proof.verification import Verifier
from turnlog.events.store.append_only import triggers_suspended
from turnlog.events.store.sequence import sequence

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(conversation: Any, user: Any) -> Any:
    for text in ("one", "two", "three"):
        conversation.record_turn(text, AIMessage(f"{text}!"), user=user)
    return conversation


def problems() -> list[tuple[int | None, str]]:
    return [(problem.version, problem.what) for problem in Verifier().whole()]


def as_administrator(sql: str, *parameters: Any) -> None:
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_an_untouched_log_is_intact(log: Any) -> None:
    verifier = Verifier()
    assert list(verifier.whole()) == []
    assert (verifier.events, verifier.streams) == (7, 1)


TAMPERING: dict[str, tuple[str, list[tuple[int, str]]]] = {
    "words": (
        "UPDATE turnlog_event SET payload = replace(payload, 'two', 'TWO') WHERE version = 4",
        [(4, "digest")],
    ),
    "type": (
        "UPDATE turnlog_event SET type = 'ConversationCleared' WHERE version = 4",
        [(4, "hash")],
    ),
    "metadata": (
        "UPDATE turnlog_event SET metadata = '{\"a\":1}' WHERE version = 4",
        [(4, "hash")],
    ),
    "actor": ("UPDATE turnlog_event SET actor_id = NULL WHERE version = 4", [(4, "hash")]),
    "turn": ("UPDATE turnlog_event SET turn_id = NULL WHERE version = 4", [(4, "hash")]),
    "schema": ("UPDATE turnlog_event SET schema = 2 WHERE version = 4", [(4, "hash")]),
    "a deletion": ("DELETE FROM turnlog_event WHERE version = 4", [(5, "version"), (5, "hash")]),
    "the beginning": (
        "DELETE FROM turnlog_event WHERE version = 1",
        [(2, "version"), (2, "hash"), (1, "turnlog_pending")],
    ),
    "an erasure nobody recorded": (
        "UPDATE turnlog_event SET payload = NULL, salt = NULL WHERE version = 4",
        [(4, "erased payload")],
    ),
    "the end": ("DELETE FROM turnlog_event WHERE version = 7", [(7, "event")]),
    "half an erasure": (
        "UPDATE turnlog_event SET payload = NULL WHERE version = 4",
        [(4, "payload and salt")],
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found_and_named(log: Any, what: str) -> None:
    sql, expected = TAMPERING[what]
    as_administrator(sql)
    assert problems() == expected


def test_a_cut_off_tail_is_found_with_its_positions_given(log: Any) -> None:
    sequence()
    as_administrator("DELETE FROM turnlog_event WHERE version >= 6")
    assert problems() == [(6, "event"), (7, "event")]


def test_a_transplant_between_streams_is_found(log: Any, django_user_model: Any) -> None:
    as_administrator("UPDATE turnlog_event SET stream_id = stream_id + 1")
    assert (2, "hash") in problems()


def test_the_time_of_an_event_cannot_be_moved(log: Any) -> None:
    later = Event.objects.get(version=4).recorded_at.replace(year=2090)
    field = Event._meta.get_field("recorded_at")
    value = field.get_db_prep_value(later, connection)  # type: ignore[union-attr]
    as_administrator("UPDATE turnlog_event SET recorded_at = %s WHERE version = 4", value)
    assert problems() == [(4, "hash"), (5, "recorded_at")]


def test_a_missing_trigger_is_a_problem(log: Any) -> None:
    on = " ON turnlog_event" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER turnlog_event_update{on}")
    [problem] = Verifier().whole()
    assert "turnlog_event_update" in str(problem)


def run(*arguments: str) -> tuple[int, str]:
    from io import StringIO

    out = StringIO()
    try:
        call_command("verify_log", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command(log: Any) -> None:
    assert run() == (0, "7 events in 1 conversation: the log is intact\n")
    as_administrator("UPDATE turnlog_event SET schema = 2 WHERE version IN (4, 6)")
    code, output = run()
    assert code == 1
    assert f"conversation {log.pk}, version 4: hash: expected" in output
    code, output = run("--json", f"--conversation={log.pk}")
    facts = json.loads(output)
    assert code == 1
    assert [problem["version"] for problem in facts["problems"]] == [4, 6]
    with pytest.raises(CommandError, match=f"there is no conversation {log.pk + 1};") as caught:
        run(f"--conversation={log.pk + 1}")
    assert caught.value.returncode == 2


def test_a_database_that_is_away_is_one_line_and_exit_code_2(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def away(*args: Any) -> None:
        raise OperationalError("connection refused\nis the server running?")

    monkeypatch.setattr(Verifier, "whole", away)
    with pytest.raises(CommandError, match=r"connection refused$") as caught:
        call_command("verify_log")
    assert caught.value.returncode == 2
