"""Blobs in the log: what an append cuts out of an event, and what becomes of it."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from tests.events.proof.administrator import execute, problems
from tests.events.proof.made import KEY
from tests.events.proof.second import Second, second_verifier, verdict
from tests.everywhere import places_of
from turnlog.core import codec
from turnlog.core.errors import (
    CodecError,
    FilesNotDeleted,
    LegalHold,
    LogDamaged,
    NotStored,
    TurnConflict,
)
from turnlog.events import payloads
from turnlog.events.blobs import blob_of, load
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Blob, BlobUse, Conversation, Event
from turnlog.events.proof import keys
from turnlog.events.proof.bundle import write_bundle
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.keys import known_keys
from turnlog.events.proof.selecting import select
from turnlog.events.store import blob_files
from turnlog.events.types import MessageAppended, TurnStarted
from turnlog.projections.models import ConversationMessage

pytestmark = pytest.mark.django_db(transaction=True)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
WORD = "elderberries"
LONG = f'{WORD} 가나다라 \\ " \n' * 8_000
DIGEST = sha256(PNG).hexdigest()


def picture(data: bytes = PNG) -> HumanMessage:
    block = {"type": "image", "base64": b64encode(data).decode(), "mime_type": "image/png"}
    return HumanMessage([{"type": "text", "text": "What is this?"}, block])


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """Blobs are files in this folder."""
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    storages = {"blobs": {**files, "OPTIONS": {"location": str(tmp_path / "blobs")}}}
    with override_settings(STORAGES=storages, TURNLOG={"BLOB_STORAGE": "blobs"}):
        yield tmp_path / "blobs"


@pytest.fixture(params=["table", "files"])
def anywhere(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("storage") if request.param == "files" else None


@pytest.fixture
def room(conversation: Any, user: Any) -> Any:
    """A turn with a picture and a long answer."""
    turn = conversation.start_turn(picture(), user=user)
    conversation.record_turn(picture(), AIMessage(LONG), user=user, turn_id=turn.turn_id)
    return conversation


def files_in(storage: Path) -> list[Path]:
    return [path for path in storage.rglob("*") if path.is_file()]


def test_a_turn_comes_back_and_its_picture_is_stored_once(
    anywhere: Any, room: Any, user: Any
) -> None:
    histories = ConversationMessage.objects.get_histories(room, user)
    assert histories == [picture(), AIMessage(LONG)]
    events = list(read(room.pk))
    assert max(len(event.payload) for event in events) < 2_000
    assert [event.data.message for event in events if isinstance(event.data, MessageAppended)] == [
        codec.encode(picture()),
        codec.encode(AIMessage(LONG)),
    ]
    assert {blob.size for blob in Blob.objects.all()} == {len(PNG), len(LONG.encode())}
    assert load(DIGEST) == PNG
    assert load(DIGEST, 8) == PNG[:8]
    assert BlobUse.objects.count() == 3
    assert problems() == []
    if anywhere:
        assert len(files_in(anywhere)) == 2
        assert not Blob.objects.filter(data__isnull=False).exists()


def test_recording_a_turn_again_finds_it_recorded(room: Any, user: Any) -> None:
    turn = room.start_turn("more", user=user)
    first = room.record_turn("more", AIMessage(LONG), user=user, turn_id=turn.turn_id)
    again = room.record_turn("more", AIMessage(LONG), user=user, turn_id=turn.turn_id)
    assert [event.version for event in again] == [event.version for event in first]
    with pytest.raises(TurnConflict):
        room.record_turn("more", AIMessage(LONG + "!"), user=user, turn_id=turn.turn_id)


def output_of(room: Any) -> Any:
    [output] = [e.data.output for e in read(room.pk) if e.type == "ToolOutputRecorded"]
    return codec.decode(output)


@settings(max_examples=10)
@given(
    texts=st.lists(st.text('가ab\\"\n\ud800👋', max_size=30), min_size=1, max_size=3),
    data=st.binary(min_size=20, max_size=60),
    times=st.sampled_from([1, 40, 90]),
    threshold=st.integers(1024, 3000),
)
def test_any_document_comes_back_and_an_erasure_leaves_none_of_it(
    texts: list[str], data: bytes, times: int, threshold: int
) -> None:
    value = {"said": [text * times for text in texts], "bytes": data * times, "word": WORD * times}
    with override_settings(TURNLOG={"BLOB_THRESHOLD": threshold}):
        room = Conversation.objects.create()
        room.record_turn("q", AIMessage("a"), [{"tool": "t", "output": value}])
        fork = room.fork()
        assert output_of(room) == output_of(fork) == value
        assert problems() == []
        fork.erase(reason="request 1")
        assert output_of(room) == value
        room.erase(reason="request 2")
    assert not Blob.objects.exists()
    assert not BlobUse.objects.exists()
    assert places_of(WORD) == []
    assert problems() == []


def test_an_object_that_looks_like_a_node_is_refused(room: Any, user: Any) -> None:
    forged = json.loads(codec.blobs.Blob(DIGEST, len(PNG), "").node)
    before = Event.objects.count()
    with pytest.raises(CodecError, match="which stands for a stored blob"):
        append(room.pk, [NewEvent(TurnStarted({}, parameters={"seed": forged}))])
    assert Event.objects.count() == before
    room.record_turn("q", AIMessage("a"), [{"tool": "t", "output": forged}], user=user)
    last = [event for event in read(room.pk) if event.type == "ToolOutputRecorded"][-1]
    assert codec.decode(last.data.output) == forged
    assert BlobUse.objects.count() == 3


def test_a_held_conversation_keeps_its_blobs(anywhere: Any, room: Any) -> None:
    room.hold(reason="case 1")
    with pytest.raises(LegalHold):
        room.erase(reason="request 1")
    assert load(DIGEST) == PNG
    room.lift_hold(reason="case 1")
    room.erase(reason="request 1")
    assert not Blob.objects.exists()
    assert places_of(WORD) == []
    assert not anywhere or files_in(anywhere) == []


def test_a_blob_that_others_refer_to_stays(anywhere: Any, room: Any, user: Any) -> None:
    other = Conversation.objects.create(user=user)
    other.record_turn(picture(), AIMessage("ok"), user=user)
    room.erase(reason="request 1")
    assert [blob.pk for blob in Blob.objects.all()] == [DIGEST]
    assert ConversationMessage.objects.get_histories(other, user)[0] == picture()
    other.erase(reason="request 2")
    assert not Blob.objects.exists()


def test_an_erasure_that_is_rolled_back_deletes_no_file(storage: Path, room: Any) -> None:
    with transaction.atomic():
        room.erase(reason="request 1")
        transaction.set_rollback(True)
    assert load(DIGEST) == PNG
    assert problems() == []


def test_files_that_cannot_be_deleted_are_named_and_swept_later(
    storage: Path, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, name: str) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.files.storage.FileSystemStorage.delete", refuse)
        with pytest.raises(FilesNotDeleted, match=r"2 of 2 files .* sweep_blobs") as caught:
            room.erase(reason="request 1")
    assert caught.value.receipt.events
    assert len(files_in(storage)) == 2
    out = StringIO()
    call_command("sweep_blobs", stdout=out)
    assert "0 files deleted" in out.getvalue(), "they are too young"
    call_command("sweep_blobs", hours=0, dry_run=True, stdout=out)
    assert "2 files would be deleted" in out.getvalue()
    call_command("sweep_blobs", hours=0, stdout=out)
    assert files_in(storage) == []


def test_a_file_of_a_rolled_back_append_is_swept_and_no_other(storage: Path, room: Any) -> None:
    with transaction.atomic():
        room.record_turn(picture(PNG * 2), AIMessage("ok"))
        transaction.set_rollback(True)
    assert len(files_in(storage)) == 3
    call_command("sweep_blobs", hours=0, stdout=StringIO())
    assert len(files_in(storage)) == 2
    assert problems() == []


def test_there_is_nothing_to_sweep_in_the_database() -> None:
    with pytest.raises(CommandError, match="expected TURNLOG"):
        call_command("sweep_blobs")


def test_the_bytes_may_move_to_another_place(room: Any, user: Any, storage: Path) -> None:
    """Blobs stay where they are when the setting changes."""
    room.record_turn(picture(PNG * 2), AIMessage("ok"), user=user)
    with override_settings(TURNLOG={}):
        room.record_turn(picture(PNG * 3), AIMessage("ok"), user=user)
    assert load(sha256(PNG * 3).hexdigest()) == PNG * 3
    assert load(sha256(PNG * 2).hexdigest()) == PNG * 2
    assert problems() == []


def blob_row(changes: str) -> None:
    execute(f"UPDATE turnlog_blob SET {changes} WHERE sha256 = '{DIGEST}'")


BYTES = "'\\x00'::bytea" if connection.vendor == "postgresql" else "x'00'"
TAMPERED = {
    f"data = {BYTES}": f"blob {DIGEST}: expected the bytes that have this SHA-256, found 1 others",
    "size = size - 1": f"blob {DIGEST}: expected a size of {len(PNG)} bytes",
}


@pytest.mark.parametrize("change", TAMPERED)
def test_a_blob_that_was_changed_is_a_problem_of_its_events(room: Any, change: str) -> None:
    blob_row(change)
    found = problems()
    assert [(each.stream_id, each.version) for each in found] == [(room.pk, 2), (room.pk, 3)]
    assert all(TAMPERED[change] in str(each) for each in found)


def test_a_use_that_is_lost_is_a_problem_and_so_is_what_nothing_refers_to(room: Any) -> None:
    execute("DELETE FROM turnlog_blob_use WHERE version < 4")
    found = [(each.version, each.what, each.expected) for each in problems()]
    assert found == [
        (2, "turnlog_blob_use", f"that of the blob {DIGEST}"),
        (3, "turnlog_blob_use", f"that of the blob {DIGEST}"),
        (None, f"blob {DIGEST}", "an event that refers to it"),
    ]


def test_a_use_by_another_event_is_a_problem(room: Any) -> None:
    execute("UPDATE turnlog_blob_use SET version = 1 WHERE version = 4")
    assert [each.version for each in problems()] == [4, 1]


def test_a_file_that_is_gone_is_a_problem_and_the_conversation_opens(
    storage: Path, room: Any, user: Any
) -> None:
    for path in files_in(storage):
        path.unlink()
    found = [str(problem) for problem in problems()]
    assert len(found) == 3
    assert all("the file turnlog/" in each for each in found)
    for message in ConversationMessage.objects.get_histories(room, user):
        assert "could not be read" in message["error"]
    with pytest.raises(LogDamaged, match="could not be read"):
        bundle(room)


def test_the_database_keeps_blobs_as_long_as_their_payloads(room: Any) -> None:
    for refused in (
        "UPDATE turnlog_blob SET size = 1",
        "UPDATE turnlog_blob_use SET version = 1",
        "DELETE FROM turnlog_blob",
        "DELETE FROM turnlog_blob_use",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(refused)
    assert problems() == []


@pytest.mark.parametrize("table", ["turnlog_blob", "turnlog_blob_use"])
def test_an_append_whose_blobs_are_dropped_fails(user: Any, table: str) -> None:
    from tests.events.test_written import dropping

    room = Conversation.objects.create(user=user)
    with dropping(table), pytest.raises(NotStored, match=table):
        room.record_turn(picture(), AIMessage("ok"), user=user)
    assert not Event.objects.exists()
    room.record_turn(picture(), AIMessage("ok"), user=user)
    assert problems() == []


def bundle(*rooms: Any) -> bytes:
    checkpoint_log()
    out = BytesIO()
    write_bundle(out, select([room.pk for room in rooms]), known_keys())
    return out.getvalue()


@pytest.fixture(scope="module")
def second() -> Iterator[Second]:
    with second_verifier() as found:
        yield found


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.ENVIRONMENT, KEY.secret())


def test_a_bundle_carries_its_blobs_and_both_verifiers_miss_one(
    anywhere: Any, room: Any, second: Second
) -> None:
    exported = bundle(room)
    assert verdict(second, exported) is not None
    lines = exported.splitlines(keepends=True)
    carried = [json.loads(line) for line in lines if line.startswith(b'{"blob":')]
    assert {line["sha256"] for line in carried} == {*Blob.objects.values_list("pk", flat=True)}
    without = [line for line in lines if f'"sha256":"{DIGEST}"}}'.encode() not in line]
    assert len(without) == len(lines) - 1
    assert verdict(second, b"".join(without)) is None
    twice = [*lines[:2], *[line for line in lines if line.startswith(b'{"blob":')][:1], *lines[2:]]
    assert verdict(second, b"".join(twice)) is None
    changed = exported.replace(b64encode(PNG), b64encode(PNG[:-1] + b"?"))
    assert verdict(second, changed) is None


def test_an_erased_event_needs_no_blob_in_a_bundle(room: Any, second: Second) -> None:
    room.erase(reason="request 1")
    exported = bundle(room)
    assert b'{"blob":' not in exported
    assert verdict(second, exported) is not None


def test_an_event_gives_its_own_blobs_alone(anywhere: Any, room: Any, user: Any) -> None:
    other = Conversation.objects.create(user=user)
    other.record_turn("hello", AIMessage("ok"), user=user)
    found = blob_of(room.pk, 2, DIGEST)
    assert found is not None
    assert (found.size, found.media_type) == (len(PNG), "image/png")
    assert b"".join(found.chunks()) == PNG
    assert blob_of(other.pk, 2, DIGEST) is None
    assert blob_of(room.pk, 2, "0" * 64) is None
    assert blob_of(room.pk, 2, "'") is None


def test_what_is_no_picture_is_no_picture(room: Any, user: Any) -> None:
    page = b"<script>alert(1)</script>" * 4_000
    said, _ = room.record_turn(picture(page), AIMessage("ok"), user=user)
    found = blob_of(room.pk, said.version, sha256(page).hexdigest())
    assert found is not None
    assert found.media_type == "application/octet-stream"


@pytest.mark.postgresql
@pytest.mark.parametrize("first", ["the turn", "the erasure"])
def test_a_turn_keeps_its_picture_though_an_erasure_is_at_it(
    anywhere: Any, user: Any, first: str
) -> None:
    from tests.events.test_erasing_races import somebody_waits

    rooms = [Conversation.objects.create(user=user) for _ in range(2)]
    rooms[0].record_turn(picture(), AIMessage("ok"), user=user)

    def run(function: Any) -> threading.Thread:
        def work() -> None:
            function()
            connection.close()

        acting = threading.Thread(target=work)
        acting.start()
        while acting.is_alive() and not somebody_waits():
            acting.join(0.01)
        return acting

    def record() -> None:
        rooms[1].record_turn(picture(), AIMessage("ok"), user=user)

    def erase() -> None:
        rooms[0].erase(reason="request 7")

    now, meanwhile = (record, erase) if first == "the turn" else (erase, record)
    with transaction.atomic():
        now()
        acting = run(meanwhile)
    acting.join()
    assert ConversationMessage.objects.get_histories(rooms[1], user)[0] == picture()
    assert problems() == []
    if anywhere:
        assert len(files_in(anywhere)) == 1


def test_an_append_makes_a_payload_once(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = payloads.payload_of
    monkeypatch.setattr(payloads, "payload_of", lambda data: made.append(data) or original(data))
    room = Conversation.objects.create(user=user)
    room.record_turn("hello", AIMessage("ok"), user=user)
    made.clear()
    room.record_turn(picture(), AIMessage(LONG), user=user)
    assert len(made) == 2


def test_a_bad_threshold_or_storage_is_said() -> None:
    from turnlog.core import conf

    assert "at least 1024" in conf.problems({"BLOB_THRESHOLD": 100})[0]
    assert "must name one of STORAGES" in conf.problems({"BLOB_STORAGE": "nowhere"})[0]


def test_a_storage_that_cannot_be_written_refuses_the_append(
    storage: Path, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnlog.core.errors import BlobFileError

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    room = Conversation.objects.create(user=user)
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", refuse)
    with pytest.raises(BlobFileError, match=r"OSError: disk full.*BLOB_STORAGE"):
        room.record_turn(picture(), AIMessage("ok"), user=user)
    assert not Event.objects.exists()
    assert blob_files.is_used()
