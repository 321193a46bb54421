"""erase_payload, erasure_receipts and hold_conversation: what they do, say and refuse."""

from __future__ import annotations

import json
import os
import stat
import threading
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, events, require_sound, said
from tests.everywhere import places_of
from turnlog.core.errors import ReceiptNotKept, ReceiptRefused
from turnlog.events.erasure import past as erasures
from turnlog.events.erasure import receipt_files, users
from turnlog.events.erasure.forgetting import forget_user
from turnlog.events.erasure.receipts import Forgotten, Receipt
from turnlog.events.models import Actor, Conversation, Event

pytestmark = pytest.mark.django_db


def run(name: str, *arguments: Any, code: int = 0) -> dict[str, Any]:
    """What a command says in JSON; it must end with this exit code."""
    out = StringIO()
    ended = 0
    try:
        call_command(name, *map(str, arguments), "--json", stdout=out)
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == code
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def tell(name: str, *arguments: Any, code: int = 0) -> str:
    out = StringIO()
    ended = 0
    try:
        call_command(name, *map(str, arguments), stdout=out)
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == code
    return out.getvalue()


def refused(*arguments: Any, name: str = "erase_payload") -> str:
    """The sentence with which a command says that it could not run."""
    with pytest.raises(CommandError) as caught:
        call_command(name, *map(str, arguments), stdout=StringIO())
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


# erase_payload


def test_a_turn_and_a_conversation(conversation: Any, user: Any) -> None:
    turn_id = said(conversation, user)
    told = tell(
        "erase_payload",
        *("--conversation", conversation.pk, "--turn", turn_id),
        *("--reason", "request 7", "--by", "ada"),
    )
    assert told.startswith(
        f"conversation {conversation.pk}: 4 events of 1 turn erased for 'request 7'\n"
    )
    assert "VACUUM" in told
    assert places_of(WORD) == []
    said(conversation)
    whole = run("erase_payload", "--conversation", conversation.pk, "--reason", "request 8")
    [receipt] = map(Receipt.from_dict, whole["receipts"])
    assert receipt.title
    assert receipt.conversation == conversation.pk
    again = tell("erase_payload", "--conversation", conversation.pk, "--reason", "request 9")
    assert again == "nothing was left to erase\n"
    by = Event.objects.filter(type="PayloadErased").order_by("version").values_list("actor_id")
    assert list(by) == [(Actor.objects.get(user=user).pk,), (None,)]


def test_a_user_by_name_and_by_key(django_user_model: Any, user: Any) -> None:
    for name in ("ada", str(user.pk)):
        said(Conversation.objects.create(user=user), user)
        assert len(run("erase_payload", "--user", name, "--reason", "r")["receipts"]) == 1
    found = run("erase_payload", "--user", "ada", "--reason", "r", "--forget")
    assert found["receipts"] == []
    assert not Actor.objects.filter(user=user).exists()
    django_user_model.objects.create_user(str(user.pk))
    assert "the name of one user and the key of another" in refused(
        "--user", user.pk, "--reason", "r"
    )


def test_what_could_not_be_erased_ends_with_1(user: Any) -> None:
    held, free = (Conversation.objects.create(user=user) for _ in range(2))
    said(held)
    said(free)
    held.hold(reason="case 12")
    found = run("erase_payload", "--user", "ada", "--reason", "r", "--forget", code=1)
    assert [receipt["conversation"] for receipt in found["receipts"]] == [free.pk]
    assert found["errors"] == [
        f"conversation {held.pk} is under a legal hold (case 12): nothing of it is erased; lift the"
        " hold first"
    ]
    assert Actor.objects.filter(user=user).exists()


def test_bad_input_is_one_sentence(conversation: Any, user: Any) -> None:
    conversation.record_turn("a", AIMessage("b"))
    one = ("--conversation", conversation.pk)
    assert "under no" in refused(
        conversation.pk, "--reason", "r", "--lift", name="hold_conversation"
    )
    assert "no conversation 99" in refused("--conversation", 99, "--reason", "r")
    assert "no conversation 99" in refused(99, "--reason", "r", name="hold_conversation")
    assert "--reason is required" in refused(*one)
    assert "expected a reason" in refused(*one, "--reason", " ")
    assert "at most 500 characters" in refused(*one, "--reason", "x" * 501)
    assert "there is no turn" in refused(*one, "--turn", uuid.uuid4(), "--reason", "r")
    assert "no user with the name or key 'eve'" in refused("--user", "eve", "--reason", "r")
    assert "--by: there is no user" in refused(*one, "--reason", "r", "--by", "eve")
    assert "--turn can only be used with" in refused(
        "--user", "ada", "--turn", uuid.uuid4(), "--reason", "r"
    )
    assert "--forget can only be used with --user" in refused(*one, "--forget", "--reason", "r")
    assert "--reason cannot be used with --again" in refused("--again", "x", "--reason", "r")
    assert "could not be read: No such file" in refused("--again", "/nowhere/x")
    assert "no conversation" in refused("--conversation", 10**30, "--reason", "r")
    assert "no user" in refused("--user", 10**30, "--reason", "r")
    for arguments in (["--conversation", "x"], [*one, "--turn", "x"], [], [*one, "--user", "ada"]):
        with pytest.raises(CommandError):
            call_command("erase_payload", *map(str, arguments), "--reason", "r")
    assert not events(conversation).filter(payload=None).exists()


def test_a_hold_by_command(conversation: Any, user: Any) -> None:
    said(conversation)
    found = run("hold_conversation", conversation.pk, "--reason", "case 12", "--by", "ada")
    assert found == {"conversation": conversation.pk, "held": True, "version": 6}
    assert "legal hold (case 12)" in refused("--conversation", conversation.pk, "--reason", "r")
    assert "no longer under a legal hold" in tell(
        "hold_conversation", conversation.pk, "--lift", "--reason", "settled"
    )
    assert not conversation.is_held()


# Receipts


@pytest.fixture
def kept(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "receipts.jsonl"
    settings.TURNLOG = {"RECEIPTS_FILE": path}
    return path


@pytest.mark.django_db(transaction=True)
def test_each_receipt_is_kept_outside(conversation: Any, user: Any, kept: Path) -> None:
    first = conversation.erase([said(conversation, user)], by=user, reason="request 7")
    fork = conversation.fork()
    second = conversation.erase(reason="request 8 ☃")
    assert list(receipt_files.read(kept)) == [first, second]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert WORD not in kept.read_text()
    assert fork
    # Nothing was erased: there is nothing to tell.
    conversation.erase(reason="request 9")
    assert len(kept.read_text().splitlines()) == 2


@pytest.mark.django_db(transaction=True)
def test_a_line_that_was_cut_off_spoils_no_other(conversation: Any, kept: Path) -> None:
    kept.write_text('{"conversation": 7, "rea')
    receipt = conversation.erase([said(conversation)], reason="request 7")
    bad, good = receipt_files.read(kept)
    assert isinstance(bad, ReceiptRefused)
    assert "line 1: not JSON" in str(bad)
    assert good == receipt


@pytest.mark.django_db(transaction=True)
def test_a_receipt_that_cannot_be_kept_is_said(
    conversation: Any, settings: Any, tmp_path: Path
) -> None:
    settings.TURNLOG = {"RECEIPTS_FILE": tmp_path}
    said(conversation)
    with pytest.raises(ReceiptNotKept, match=r"the erasure is done, .* erasure_receipts --output"):
        conversation.erase(reason="request 7")
    assert places_of(WORD) == []
    said(conversation)
    found = run("erase_payload", "--conversation", conversation.pk, "--reason", "r", code=1)
    assert "the erasure is done" in found["errors"][0]
    said(conversation)
    told = tell("erase_payload", "--conversation", conversation.pk, "--reason", "r", code=1)
    first, second, *_ = told.splitlines()
    assert first.endswith("erased for 'r'")
    assert "the erasure is done, but its receipt could not be written" in second


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_has_no_receipt(conversation: Any, kept: Path) -> None:
    from django.db import transaction

    said(conversation)
    with transaction.atomic():
        conversation.erase(reason="request 7")
        transaction.set_rollback(True)
    assert not kept.exists()


def test_the_log_has_all_receipts(conversation: Any, user: Any, tmp_path: Path) -> None:
    made = conversation.erase([said(conversation, user)], by=user, reason="request 7")
    conversation.record_turn(WORD, AIMessage("ok"))
    fork = conversation.fork()
    conversation.erase(reason="request 8")
    path = tmp_path / "all.jsonl"
    assert run("erasure_receipts", "--output", path) == {"receipts": 3, "output": str(path)}
    written = list(receipt_files.read(path))
    assert written == list(erasures.receipts())
    assert written[0] == made
    assert [(r.conversation, r.reason, r.title) for r in written] == [
        (conversation.pk, "request 7", False),
        (conversation.pk, "request 8", True),
        (fork.pk, "request 8", True),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["all.jsonl"]
    path.write_text("old")
    assert "could not be written" in refused(
        "--output", tmp_path / "no" / "x", name="erasure_receipts"
    )
    assert "could not be written" in refused("--output", tmp_path, name="erasure_receipts")
    assert os.listdir(tmp_path) == ["all.jsonl"]


def test_a_file_that_cannot_be_finished_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text("old")

    def broken() -> Any:
        yield Receipt(7, "request 7")
        raise OSError("the disk is full")

    with pytest.raises(ReceiptNotKept, match="the disk is full"):
        receipt_files.write(path, broken())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["all.jsonl"]


@pytest.mark.django_db(transaction=True)
def test_an_erasure_whose_receipt_could_not_be_kept_is_told_as_one(
    django_user_model: Any, settings: Any, tmp_path: Path
) -> None:
    user = django_user_model.objects.create_user("grace")
    for _ in range(2):
        said(Conversation.objects.create(user=user), user)
    settings.TURNLOG = {"RECEIPTS_FILE": tmp_path}
    request = ("--user", "grace", "--reason", "r", "--forget")
    found = run("erase_payload", *request, code=1)
    assert (len(found["receipts"]), len(found["errors"])) == (2, 3)
    assert "append this line to it: {" in found["errors"][2]
    assert places_of(WORD) == []
    assert not Actor.objects.filter(user=user).exists()


def test_what_is_erased_when_the_rest_fails_is_told(user: Any, monkeypatch: Any) -> None:
    rooms = [Conversation.objects.create(user=user) for _ in range(2)]
    for room in rooms:
        said(room, user)
    original = users.erase_wanted

    def erase_wanted(pk: int, *arguments: Any, **options: Any) -> Any:
        if pk == rooms[1].pk:
            raise OperationalError("the server closed the connection")
        return original(pk, *arguments, **options)

    monkeypatch.setattr(users, "erase_wanted", erase_wanted)
    found = run("erase_payload", "--user", "ada", "--reason", "r", code=1)
    assert [receipt["conversation"] for receipt in found["receipts"]] == [rooms[0].pk]
    assert "the server closed the connection" in found["errors"][0]


def test_first_one_may_look(conversation: Any, user: Any) -> None:
    turn_id = said(conversation, user)
    fork = conversation.fork()
    before = Event.objects.count()
    request = ("--conversation", conversation.pk, "--turn", turn_id, "--reason", "r")
    found = run("erase_payload", *request, "--dry-run")
    assert Event.objects.count() == before
    assert "would be erased" in tell("erase_payload", *request, "--dry-run")
    [receipt] = found["receipts"]
    [real] = run("erase_payload", *request)["receipts"]
    assert receipt["events"] == real["events"]
    assert [each["conversation"] for each in receipt["forks"]] == [fork.pk]
    said(conversation, user)
    request = ("--user", "ada", "--forget", "--reason", "r", "--dry-run")
    assert run("erase_payload", *request)["receipts"] != []
    assert Actor.objects.filter(user=user).exists()
    assert "--dry-run cannot be used with" in refused("--again", "x", "--dry-run")


# After a restore


def restored(room: Any) -> Any:
    """A conversation as a backup had it: rows of the log are put back, byte for byte."""
    from django.db import connection

    from turnlog.events.models import Pending
    from turnlog.events.store.append_only import triggers_suspended

    rows = list(Event.objects.filter(stream_id=room.pk).order_by("version").values())

    def restore() -> None:
        with triggers_suspended(connection):
            Event.objects.filter(stream_id=room.pk).delete()
            Event.objects.bulk_create(Event(**row) for row in rows)
            Pending.objects.filter(stream_id=room.pk, last__gt=len(rows)).delete()

    return restore


@pytest.mark.django_db(transaction=True)
def test_receipts_are_applied_again(conversation: Any, user: Any, kept: Path) -> None:
    said(conversation, user)
    fork = conversation.fork()
    restores = [restored(conversation), restored(fork)]
    receipt = conversation.erase(by=user, reason="request 7")
    for restore in restores:
        restore()
    Conversation.objects.filter(pk=conversation.pk).rewrite(title=f"The {WORD}")
    assert {"turnlog_event"} <= {table for table, _ in places_of(WORD)}
    found = run("erase_payload", "--again", kept)
    assert (found["errors"], found["absent"]) == ([], 0)
    # The fork's own opening had another title than the parent's when it was erased.
    assert found["erased"] == sum(len(each.events) for each in receipt.whole())
    assert places_of(WORD) == []
    record = events(conversation).last()
    assert (record.data.reason, record.actor_id) == ("request 7", receipt.by)
    again = run("erase_payload", "--again", kept)
    assert (again["erased"], again["errors"]) == (0, [])
    assert again["already"] > 0
    require_sound(conversation, fork)


def test_only_what_the_receipt_is_of_is_erased(conversation: Any, tmp_path: Path) -> None:
    said(conversation)
    other = Conversation.objects.create()
    said(other)
    made = conversation.erase(reason="request 7")
    path = tmp_path / "receipts.jsonl"
    stored = made.as_dict()
    foreign = {**stored, "conversation": other.pk}
    absent = {**stored, "conversation": 999_999}
    later = {**stored, "events": [{"version": 500, "type": "TurnStarted", "digest": "00"}]}
    lines = [foreign, absent, later, stored, {"conversation": 7}, ["x"]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "no json\n")
    found = run("erase_payload", "--again", path, code=1)
    assert (found["erased"], found["already"], found["absent"]) == (0, 5, 6)
    assert len(found["errors"]) == 4
    assert f"conversation {other.pk}, version 1: expected the event that" in found["errors"][0]
    for number, error in enumerate(found["errors"][1:], 5):
        assert f"line {number}: " in error
    assert not events(other).filter(payload=None).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["forgotten", "deleted"])
def test_whoever_was_forgotten_is_forgotten_again(
    user: Any, kept: Path, how: str, django_user_model: Any
) -> None:
    operator = django_user_model.objects.create_user("operator")
    room = Conversation.objects.create(user=user)
    said(room, user)
    actor = Actor.objects.get(user=user)
    if how == "forgotten":
        forget_user(user, by=operator, reason="request 7")
    else:
        user.delete()
    [receipt] = receipt_files.read(kept)
    assert isinstance(receipt, Forgotten)
    told = (Actor.objects.id_of(operator), "request 7") if how == "forgotten" else (None, "")
    assert (receipt.actor, receipt.by, receipt.reason) == (actor.pk, *told)
    assert run("erase_payload", "--again", kept)["forgotten"] == 0
    # As a backup had it.
    user = django_user_model.objects.get_or_create(username="ada")[0]
    Actor.objects.create(pk=actor.pk, user=user)
    Conversation.objects.filter(pk=room.pk).rewrite(user=user)
    assert run("erase_payload", "--again", kept)["forgotten"] == 1
    assert not Actor.objects.filter(pk=actor.pk).exists()
    assert Conversation.objects.get(pk=room.pk).user is None
    assert not room.is_open_to(operator)


def test_a_title_that_was_given_since_is_left_as_it_is(user: Any, tmp_path: Path) -> None:
    room = Conversation.objects.create(user=user, title=f"The {WORD}")
    room.record_turn("a latte", AIMessage("ok"), user=user)
    fork = room.fork()
    Conversation.objects.filter(pk=fork.pk).rewrite(title="Another")
    room.erase(reason="request 7")
    room.title = "A new beginning"
    room.save()
    made = run("erasure_receipts", "--output", tmp_path / "all")
    assert made["receipts"] == 2
    assert run("erase_payload", "--again", tmp_path / "all")["erased"] == 0
    titles = [Conversation.objects.get(pk=each.pk).title for each in (room, fork)]
    assert titles == ["A new beginning", "Another"]


def test_a_title_alone_is_erased_again(user: Any, tmp_path: Path) -> None:
    room, other = (Conversation.objects.create(user=user, title=f"The {WORD}") for _ in range(2))
    room.record_turn("a latte", AIMessage("ok"), user=user)
    other.record_turn("a tea", AIMessage("ok"), user=user)
    room.erase(reason="request 6")
    Conversation.objects.filter(pk=room.pk).rewrite(title=f"A {WORD}")
    back = restored(room)
    receipt = room.erase(reason="request 7")
    assert (receipt.events, receipt.title, len(receipt.records)) == ((), True, 1)
    back()
    Conversation.objects.filter(pk=room.pk).rewrite(title=f"A {WORD}")
    path = tmp_path / "receipts.jsonl"
    foreign = {**receipt.as_dict(), "conversation": other.pk}
    path.write_text(json.dumps(foreign) + "\n" + json.dumps(receipt.as_dict()) + "\n")
    assert len(run("erase_payload", "--again", path, code=1)["errors"]) == 1
    titles = [Conversation.objects.get(pk=each.pk).title for each in (room, other)]
    assert titles == ["", f"The {WORD}"]


def test_receipts_may_come_through_a_pipe(conversation: Any, tmp_path: Path) -> None:
    said(conversation)
    line = json.dumps(conversation.erase(reason="request 7").as_dict()) + "\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=lambda: pipe.write_text(line))
    writing.start()
    assert run("erase_payload", "--again", pipe)["already"] == 5
    writing.join()


@pytest.mark.parametrize(
    "wrong",
    [
        {"conversation": 2**70},
        {"conversation": True},
        {"events": [{"version": 2**40, "type": "x", "digest": "00"}]},
        {"events": 7},
        {"by": "nobody"},
        {"by": ""},
        {"by": 0},
        {"title": "yes"},
        {"at": "yesterday"},
        {"forks": [{}]},
        {"reason": None},
    ],
)
def test_a_receipt_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ReceiptRefused):
        Receipt.from_dict({**Receipt(7, "request 7").as_dict(), **wrong})
