"""What export_log writes: both verifiers accept it, and a file is there whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from langchain_core.messages import AIMessage

from tests.docs.pages import DOCS
from tests.events.proof.made import KEY, OTHER_KEY, example_bundle
from tests.events.proof.make_bundles import BUNDLES, keep
from tests.events.proof.second import Second, second_verifier, verdict
from turnlog.events.management.commands import export_log
from turnlog.events.models import Actor, Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.proof.notes import PublicKey, SigningKey
from turnlog.events.store.append_only import triggers_suspended

PROMPT = Prompt(model="gpt-4o", system_prompt="You are a language tutor. 請說中文。")


@pytest.fixture(scope="module")
def second() -> Iterator[Second]:
    with second_verifier() as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    monkeypatch.setenv("TURNLOG_SIGNING_KEY", KEY.secret())
    return KEY


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "bundle.jsonl"


def say(conversation: Conversation, text: str, user: Any = None) -> Any:
    """A turn; its id."""
    turn = conversation.start_turn(text, user=user, prompt=PROMPT)
    conversation.record_turn(text, AIMessage("네"), user=user, turn_id=turn.turn_id)
    return turn.turn_id


def export(target: Path, *options: str) -> bytes:
    call_command("export_log", "--output", str(target), *options)
    return target.read_bytes()


def lines_of(bundle: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bundle.split(b"\n")[:-1]]


def events_of(bundle: bytes) -> list[dict[str, Any]]:
    return [line for line in lines_of(bundle) if "stream_id" in line]


# Fixed bundles: what any released version has written is verified for ever

FIXED = sorted(BUNDLES.glob("*.jsonl"))


def test_there_are_fixed_bundles() -> None:
    names = {path.stem for path in FIXED}
    assert names >= {"log", "conversation", "conversations", "user", "since", "nothing"}


@pytest.mark.slow_once
@pytest.mark.parametrize("path", FIXED, ids=lambda path: path.stem)
def test_a_fixed_bundle_verifies_for_ever(second: Second, path: Path) -> None:
    known = PublicKey.parse((BUNDLES / "public_key").read_text().strip())
    found = verdict(second, path.read_bytes(), [known])
    assert found is not None
    assert found["events"] == len(events_of(path.read_bytes()))


def test_fixed_bundles_are_never_written_again(tmp_path: Path, capsys: Any) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    keep(new, old)
    assert old.read_bytes() == b"old"
    assert "stays as it is" in capsys.readouterr().out


def test_the_example_of_the_page_is_recomputed() -> None:
    assert (DOCS / "examples" / "bundle.jsonl").read_bytes() == example_bundle()


# What is exported


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["bundle.jsonl", "bundle.jsonl.gz"])
def test_every_scope_verifies(second: Second, user: Any, tmp_path: Path, name: str) -> None:
    rooms = [Conversation.objects.create(user=user) for _ in range(3)]
    for room in rooms * 2:
        say(room, "커피 주세요 \x00 \ud800", user)
    call_command("checkpoint_log")
    covered = Event.objects.count()
    say(rooms[0], "later", user)
    rooms[1].fork(user=user)
    first, last = (str(rooms[place].pk) for place in (0, 2))
    expected = {
        (): Event.objects.count(),
        ("--conversation", first): Event.objects.filter(stream_id=rooms[0].pk).count(),
        ("--conversation", first, "--conversation", last): Event.objects.filter(
            stream_id__in=[rooms[0].pk, rooms[2].pk]
        ).count(),
        ("--user", user.username): Event.objects.filter(actor_id__isnull=False).count(),
        ("--user", str(Actor.objects.id_of(user))): Event.objects.filter(
            actor_id__isnull=False
        ).count(),
        ("--since", "2020-01-01T00:00:00+09:00"): Event.objects.count(),
        ("--until", "2020-01-01T00:00:00+09:00"): 0,
        ("--user", user.username, "--conversation", last): Event.objects.filter(
            stream_id=rooms[2].pk, actor_id__isnull=False
        ).count(),
    }
    for options, count in expected.items():
        found = verdict(second, export(tmp_path / name, *options), [KEY.public])
        assert found is not None, options
        assert (found["events"], found["size"]) == (count, covered), options
    whole = verdict(second, export(tmp_path / name))
    assert whole is not None
    assert whole["proven"] == covered


@pytest.mark.django_db
@pytest.mark.parametrize("size", [2, 255, 256, 257, 513])
def test_logs_about_as_long_as_a_tile_verify(second: Second, target: Path, size: int) -> None:
    one, other = Conversation.objects.create(), Conversation.objects.create()
    one.clear()
    while Event.objects.count() < size:
        (other if size > 3 and Event.objects.count() % 3 == 0 else one).clear()
    call_command("checkpoint_log")
    assert Event.objects.count() == size
    for options in ([], [f"--conversation={one.pk}"]):
        found = verdict(second, export(target, *options), [KEY.public])
        assert found is not None
        assert found["size"] == size


@pytest.mark.django_db
def test_contents_come_once_before_who_refers_to_them(target: Path, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    for _ in range(3):
        say(room, "hi", user)
    call_command("checkpoint_log")
    lines = lines_of(export(target))
    kinds = ["content" if "content" in line else line.get("type") for line in lines]
    assert kinds.count("content") == 1
    assert kinds.index("content") == kinds.index("TurnStarted") - 1
    assert lines[kinds.index("content")]["content"] == PROMPT.system_prompt


@pytest.mark.django_db
def test_an_erased_event_comes_with_what_erased_it(
    second: Second, target: Path, user: Any, django_user_model: Any
) -> None:
    """Also where a selection would not have it; and no more than that of other people's."""
    bob = django_user_model.objects.create_user("bob")
    shared = Conversation.objects.create()
    hers, his = say(shared, "my number is ...", user), say(shared, "and mine ...", bob)
    shared.erase(turns=[his], by=None, reason="asked by Bob")
    shared.erase(turns=[hers], by=None, reason="asked by Ada")
    call_command("checkpoint_log")
    for options in (
        ["--user", user.username],
        ["--user", user.username, "--until", "2999-01-01T00:00:00Z"],
        [f"--conversation={shared.pk}"],
        [],
    ):
        bundle = export(target, *options)
        found = verdict(second, bundle, [KEY.public])
        assert found is not None
        assert found["erased_unsigned"] == 0
        assert b"asked by Ada" in bundle
        assert (b"asked by Bob" in bundle) == ("--user" not in options)
        assert b"number" not in bundle


@pytest.mark.django_db
def test_an_erasure_that_is_not_signed_yet_is_told(second: Second, target: Path, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    turn = say(room, "my number is ...", user)
    call_command("checkpoint_log")
    room.erase(turns=[turn], reason="request 42")
    found = verdict(second, export(target), [KEY.public])
    assert found is not None
    assert found["erased"] == found["erased_unsigned"] == 3


# What cannot be exported


def refused(*options: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("export_log", *options)
    assert caught.value.returncode == 2
    said = str(caught.value)
    assert said.count("\n") == 0
    return said


@pytest.mark.django_db
def test_what_is_missing_is_said(user: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = ("--output", str(target))
    room = Conversation.objects.create(user=user)
    assert "run `manage.py checkpoint_log` first" in refused(*output)
    say(room, "hi", user)
    call_command("checkpoint_log")
    assert "no conversation 999999" in refused(*output, "--conversation", "999999")
    for unknown in ("nobody", str(uuid.uuid4())):
        assert f"no user or actor {unknown!r}" in refused(*output, "--user", unknown)
    assert "found 'yesterday'" in refused(*output, "--since", "yesterday")
    assert "found '2026-11-22T10:00:00'" in refused(*output, "--until", "2026-11-22T10:00:00")
    assert "--key: expected a public key" in refused(*output, "--key", "x")

    monkeypatch.delenv("TURNLOG_SIGNING_KEY")
    assert "add its public key" in refused(*output)
    assert "add its public key" in refused(*output, "--key", str(OTHER_KEY.public))
    monkeypatch.setenv("TURNLOG_SIGNING_KEY", "PRIVATE+KEY+nonsense")
    assert "TURNLOG_SIGNING_KEY in the environment: " in refused(*output)
    assert list(target.parent.iterdir()) == []
    monkeypatch.delenv("TURNLOG_SIGNING_KEY")
    export(target, "--key", str(KEY.public))


@pytest.mark.django_db
def test_a_place_that_cannot_be_written_to_is_said(user: Any, tmp_path: Path) -> None:
    say(Conversation.objects.create(user=user), "hi", user)
    call_command("checkpoint_log")
    file = tmp_path / "file"
    file.write_text("here")
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in (tmp_path / "none" / "x", file / "x", folder, tmp_path / ("n" * 300)):
        assert f"{place} cannot be written: " in refused("--output", str(place))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


@pytest.mark.django_db
def test_a_full_disk_leaves_what_was_there(
    user: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Conversation.objects.create(user=user)
    for _ in range(60):
        say(room, "a long story " * 300, user)
    call_command("checkpoint_log")
    real = export_log.write_bundle

    def with_little_room(*arguments: Any) -> Any:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
        try:
            return real(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(export_log, "write_bundle", with_little_room)
    old = tmp_path / "old.jsonl"
    old.write_text("what was there")
    for name in ("old.jsonl", "new.jsonl"):
        assert "cannot be written: File too large" in refused("--output", str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]
    assert old.read_text() == "what was there"


@pytest.mark.django_db
def test_a_bundle_is_its_owners_and_replaces_what_was_there(user: Any, target: Path) -> None:
    say(Conversation.objects.create(user=user), "hi", user)
    call_command("checkpoint_log")
    target.write_text("what was there")
    target.chmod(0o666)
    export(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]


DAMAGES = {
    "other words": "UPDATE turnlog_event SET payload = replace(payload, 'hi', 'HI')"
    " WHERE type = 'MessageAppended'",
    "another salt": "UPDATE turnlog_event SET salt = digest WHERE version = 2",
    "metadata": "UPDATE turnlog_event SET metadata = '{\"a\":1}' WHERE version = 2",
    "another actor": "UPDATE turnlog_event SET actor_id = NULL WHERE version = 2",
    "a time": "UPDATE turnlog_event SET recorded_at = '2001-01-01 00:00:00' WHERE version = 2",
    "half of an erasure": "UPDATE turnlog_event SET payload = NULL WHERE version = 2",
    "words": "UPDATE turnlog_event SET payload = NULL, salt = NULL WHERE version = 2",
    "an event": "DELETE FROM turnlog_event WHERE version = 2",
    "a hash": "UPDATE turnlog_event SET hash = digest WHERE version = 2",
    "a position": "DELETE FROM turnlog_position WHERE version = 2",
    "what a turn began with": "UPDATE turnlog_event SET payload = '[' WHERE type = 'TurnStarted'",
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_log_is_not_exported(
    user: Any, target: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    say(Conversation.objects.create(user=user), "hi", user)
    call_command("checkpoint_log")
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute(DAMAGES[what])
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        export(target)
    assert caught.value.code == 1
    [said] = capsys.readouterr().out.splitlines()
    # Which event it is, unless what is missing is a place in the log or the words of a text.
    assert "version 2" in said or what in ("a hash", "an event", "a position", "other words"), said
    assert "verify_log" in said
    assert list(target.parent.iterdir()) == []


@pytest.mark.django_db
def test_a_changed_payload_is_named_also_in_a_selection(
    user: Any, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written that the bundle's own verifier refuses."""
    room = Conversation.objects.create(user=user)
    say(room, "hi", user)
    other = Conversation.objects.create(user=user)
    say(other, "hi", user)
    call_command("checkpoint_log")
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE turnlog_event SET payload = replace(payload, 'hi', 'HI')"
            " WHERE stream_id = %s AND type = 'MessageAppended' AND version < 4",
            [room.pk],
        )
    changed = Event.objects.filter(stream_id=room.pk, payload__contains="HI").order_by("version")
    first = changed.filter(type="MessageAppended").values_list("version", flat=True)[0]
    capsys.readouterr()
    for options in ([], [f"--conversation={room.pk}"], [f"--user={user.username}"]):
        with pytest.raises(SystemExit) as caught:
            export(target, *options)
        assert caught.value.code == 1
        said = capsys.readouterr().out
        assert f"conversation {room.pk}, version {first}: the payload is not the one" in said
        assert not target.exists()
    assert export(target, f"--conversation={other.pk}")


@pytest.mark.django_db
def test_a_selection_of_nothing_says_so(
    user: Any, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(Conversation.objects.create(user=user), "hi", user)
    call_command("checkpoint_log")
    capsys.readouterr()
    export(target, "--until", "2020-01-01T00:00:00+09:00")
    assert "nothing was selected, so there is no event in it" in capsys.readouterr().out
    assert "found ''" in refused("--output", str(target), "--since", "")
    with pytest.raises(CommandError, match="--output: expected a file's name, found an empty text"):
        call_command("export_log", "--output", "")


# Cut off from outside

CUT_OFF = """
import os, signal, sys
import django
# Who starts the tests in the background has them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
django.setup()
from django.core.management import execute_from_command_line
from turnlog.events.management.commands import export_log

real = export_log.write_bundle

class Cut:
    def __init__(self, out):
        self.out, self.left = out, 5
    def write(self, data):
        self.left -= 1
        if not self.left:
            self.out.flush()
            os.kill(os.getpid(), int(sys.argv[1]))
        return self.out.write(data)

export_log.write_bundle = lambda out, *rest: real(Cut(out), *rest)
execute_from_command_line(["manage.py", "export_log", "--output", sys.argv[2]])
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whoever_is_cut_off_leaves_what_was_there(user: Any, tmp_path: Path, sent: int) -> None:
    room = Conversation.objects.create(user=user)
    for _ in range(5):
        say(room, "hi", user)
    call_command("checkpoint_log")
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text("what was there")
    for place in (old, new):
        done = subprocess.run(
            [sys.executable, "-c", CUT_OFF, str(int(sent)), str(place)],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.project.settings",
                "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"]),
            },
            capture_output=True,
            timeout=120,
        )
        if sent == signal.SIGINT:
            assert (done.returncode, done.stderr.decode()) == (130, "CommandError: interrupted\n")
        else:
            assert done.returncode == -sent
    assert old.read_text() == "what was there"
    assert not new.exists()
    if sent == signal.SIGINT:
        assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]
