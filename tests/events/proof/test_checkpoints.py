"""Signing the log: what is signed, what is refused, where it is kept, and what it costs."""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from turnlog.core.errors import ConfigurationError, LogDamaged
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event, SignedCheckpoint, Tile
from turnlog.events.proof import checkpoints, keys, tiles, verification
from turnlog.events.proof.checkpoints import checkpoint_log
from turnlog.events.proof.merkle import Growing, is_included, leaf_hash
from turnlog.events.proof.notes import SigningKey, open_checkpoint
from turnlog.events.proof.tiles import StoredTree
from turnlog.events.store.sequence import sequence
from turnlog.events.types import ConversationCleared

from .administrator import execute, undone

KEY = SigningKey("example.com/chat", bytes(range(32)))
NEXT_KEY = SigningKey("example.com/chat", bytes(range(1, 33)))
published: list[str] = []


def publish(note: str) -> None:
    """What a project may do with each checkpoint."""
    published.append(note)


def refuse(note: str) -> None:
    raise OSError("the bucket is not there")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    monkeypatch.setenv(keys.ENVIRONMENT, KEY.secret())
    return KEY


def grow(count: int) -> None:
    """Append some events, to a conversation of their own."""
    append(Conversation.objects.create().pk, [NewEvent(ConversationCleared())] * (count - 1))


def leaves() -> list[bytes]:
    from turnlog.events.log import read_all

    return [leaf_hash(bytes(event.hash)) for event in read_all()]


def root_over(hashes: list[bytes]) -> bytes:
    tree = Growing()
    for hash_ in hashes:
        tree.add(hash_)
    return tree.root()


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(*arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
def test_the_root_is_signed_and_stored(key: SigningKey) -> None:
    assert run("checkpoint_log") == (0, "the log is empty; there is nothing to sign\n")
    grow(5)
    code, said = run("checkpoint_log")
    root = root_over(leaves())
    assert (code, said) == (0, f"example.com/chat: 5 events, root {root.hex()}: signed\n")
    stored = SignedCheckpoint.objects.get()
    checkpoint, by = open_checkpoint(stored.note, [key.public])
    assert (checkpoint.size, checkpoint.root, by) == (5, root, key.public)
    assert stored.size == 5
    assert "nothing new since the last checkpoint" in run("checkpoint_log")[1]
    assert SignedCheckpoint.objects.count() == 1
    grow(2)
    facts = json.loads(run("checkpoint_log", "--json")[1])
    assert facts["new"] is True
    assert (facts["size"], facts["root"]) == (7, root_over(leaves()).hex())
    assert facts["note"] == SignedCheckpoint.objects.get(size=7).note


class AnyLog(TestCase):
    @settings(max_examples=15)
    @given(st.lists(st.integers(2, 40), min_size=1, max_size=6))
    def test_every_event_and_every_earlier_checkpoint_is_provable(self, steps: list[int]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(keys.ENVIRONMENT, KEY.secret())
            # Small tiles, so that there are some of several levels.
            patch.setattr(tiles, "HEIGHT", 2)
            patch.setattr(tiles, "WIDTH", 4)
            signed = []
            for count in steps:
                grow(count)
                signed.append(checkpoint_log())
            hashes = leaves()
            tree = StoredTree(len(hashes))
            assert Tile.objects.filter(level=0).count() == len(hashes) // 4
            assert Tile.objects.filter(level=1).count() == len(hashes) // 16
            for made in signed:
                assert made is not None
                size, root = made.checkpoint.size, made.checkpoint.root
                assert root == root_over(hashes[:size]) == tree.root(size)
                for position in range(1, size + 1):
                    proof = tree.inclusion(position, size)
                    assert is_included(position - 1, size, hashes[position - 1], proof, root)


@pytest.mark.django_db
def test_the_whole_log_is_not_read_again(key: SigningKey) -> None:
    """As many queries and as many rows, however long the log is; benchmarks measure the time."""

    def cost() -> int:
        grow(10)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            checkpoint_log()
        return len(queries)

    for _ in range(2):
        grow(700)
    checkpoint_log()
    few = cost()
    for _ in range(4):
        grow(700)
    checkpoint_log()
    assert cost() <= few


@pytest.mark.django_db
def test_a_log_that_was_cut_off_or_changed_is_not_signed(key: SigningKey) -> None:
    grow(300)
    checkpoint_log()
    with undone():
        execute("UPDATE turnlog_tile SET root = hashes")
        code, said = run("checkpoint_log")
        assert code == 1
        assert "expected a log whose first 300 positions have the root" in said
    with undone():
        # Beneath a stored tile: it says what was there, and is looked at now and then.
        execute("UPDATE turnlog_event SET hash = digest WHERE version = 9")
        grow(2)
        code, said = run("checkpoint_log")
        assert code == 1
        assert "expected at position 9 the event that was there" in said
    execute("DELETE FROM turnlog_position WHERE position > 290")
    code, said = run("checkpoint_log", "--json")
    assert code == 1
    assert "found 290; its end was cut off" in json.loads(said)["error"]


@pytest.mark.django_db
def test_a_position_whose_event_is_gone_is_not_signed(key: SigningKey) -> None:
    grow(3)
    sequence()
    execute("DELETE FROM turnlog_event WHERE version = 2")
    with pytest.raises(LogDamaged, match="expected an event at position 2, found none"):
        checkpoint_log()
    assert not SignedCheckpoint.objects.exists()


@pytest.mark.django_db
def test_keys_are_rotated_under_the_same_name(
    key: SigningKey, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    grow(3)
    checkpoint_log()
    monkeypatch.setenv(keys.ENVIRONMENT, NEXT_KEY.secret())
    with pytest.raises(ConfigurationError, match=r"signed by a known key .* public key"):
        checkpoint_log()
    settings.TURNLOG = {"PUBLIC_KEYS": [str(KEY.public)]}
    again = checkpoint_log()
    assert again is not None
    assert again.new, "the same size, by the new key"
    assert again.checkpoint.size == 3
    assert run("verify_log")[0] == 0
    assert run("verify_log", f"--key={NEXT_KEY.public}")[0] == 0
    monkeypatch.setenv(keys.ENVIRONMENT, SigningKey("example.com/other", KEY.seed).secret())
    settings.TURNLOG = {"PUBLIC_KEYS": [str(KEY.public), str(NEXT_KEY.public)]}
    with pytest.raises(ConfigurationError, match=r"key named 'example\.com/chat'"):
        checkpoint_log()
    monkeypatch.delenv(keys.ENVIRONMENT)
    settings.TURNLOG = {}
    code, said = run("verify_log")
    assert code == 1
    assert "signed checkpoint" in said
    assert "add its public key" in said
    assert run("verify_log", f"--key={KEY.public}", f"--key={NEXT_KEY.public}")[0] == 0


@pytest.mark.django_db
def test_checkpoints_are_kept_in_a_directory(
    key: SigningKey, settings: Any, tmp_path: Path
) -> None:
    settings.TURNLOG = {
        "CHECKPOINT_PATH": tmp_path,
        "CHECKPOINT_HOOK": f"{__name__}.publish",
    }
    published.clear()
    for _ in range(2):
        grow(3)
        checkpoint_log()
    files = sorted(tmp_path.iterdir())
    key_id = key.public.id.hex()
    assert [file.name for file in files] == [
        f"000000000003-{key_id}.checkpoint",
        f"000000000006-{key_id}.checkpoint",
    ]
    notes = [row.note for row in SignedCheckpoint.objects.order_by("size")]
    assert [file.read_text() for file in files] == published == notes
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o644
    assert run("verify_log")[0] == 0
    # The database forgets; the directory does not.
    execute("DELETE FROM turnlog_signed_checkpoint")
    execute("DELETE FROM turnlog_event WHERE version > 1")
    execute("DELETE FROM turnlog_position WHERE version > 1")
    code, said = run("verify_log")
    assert code == 1
    assert str(files[1]) in said
    with pytest.raises(LogDamaged, match=str(files[1])):
        checkpoint_log()


@pytest.mark.django_db
def test_what_else_lies_there_is_left_alone(key: SigningKey, settings: Any, tmp_path: Path) -> None:
    settings.TURNLOG = {"CHECKPOINT_PATH": str(tmp_path), "CHECKPOINT_HOOK": f"{__name__}.publish"}
    (tmp_path / "zz.checkpoint").write_bytes(b"\xff")
    published.clear()
    grow(2)
    for _ in range(3):
        checkpoint_log()
    assert len(published) == 1, "nothing new, nothing told"
    [file] = tmp_path.glob("0*.checkpoint")
    assert run("verify_log", f"--checkpoint={file}")[0] == 0
    file.write_bytes(b"\xff\xfe")
    code, said = run("verify_log")
    assert code == 1
    assert str(file) in said


@pytest.mark.django_db
def test_a_place_that_is_not_mounted_does_not_look_like_an_empty_one(
    key: SigningKey, settings: Any, tmp_path: Path
) -> None:
    settings.TURNLOG = {"CHECKPOINT_PATH": tmp_path / "away"}
    grow(2)
    for command in ("checkpoint_log", "verify_log"):
        with pytest.raises(CommandError, match=r"expected .* to name an existing directory"):
            run(command)


@pytest.mark.django_db
def test_the_whole_log_can_be_verified_before_it_is_signed(key: SigningKey) -> None:
    grow(300)
    assert run("checkpoint_log", "--verify")[0] == 0
    grow(5)
    execute("UPDATE turnlog_event SET metadata = '[]' WHERE version = 9")
    code, said = run("checkpoint_log", "--verify")
    assert code == 1
    assert "version 9: hash: expected" in said
    assert SignedCheckpoint.objects.count() == 1


@pytest.mark.django_db
def test_events_are_not_signed_again_as_new_ones_unseen(key: SigningKey) -> None:
    """By taking their positions away: who counts them sees it, whatever is looked at."""
    grow(300)
    pk = Conversation.objects.get().pk
    checkpoint_log()
    execute("DELETE FROM turnlog_position WHERE stream_id = %s AND position <= 256", pk)
    execute("INSERT INTO turnlog_pending (stream_id, first, last) VALUES (%s, 1, 256)", pk)
    for arguments in ((), ("--since-checkpoint",), ("--sample=1/1",), (f"--conversation={pk}",)):
        assert run("verify_log", *arguments)[0] == 1
    with pytest.raises(LogDamaged):
        checkpoint_log()


@pytest.mark.django_db
@pytest.mark.parametrize("level", [0, 1])
def test_a_tile_from_the_future_is_not_signed(key: SigningKey, level: int) -> None:
    grow(300)
    checkpoint_log()
    Tile.objects.create(level=level, number=1 - level, hashes=bytes(8192), root=bytes(32))
    code, said = run("verify_log")
    assert code == 1
    assert f"turnlog_tile of level {level}" in said
    grow(1000)
    if level == 0:
        with pytest.raises(LogDamaged):
            checkpoint_log()
    else:
        made = checkpoint_log()
        assert made is not None
        assert made.checkpoint.root == root_over(leaves())


@pytest.mark.django_db
@pytest.mark.parametrize(
    "settings_",
    [{"CHECKPOINT_PATH": "/proc/self"}, {"CHECKPOINT_HOOK": f"{__name__}.refuse"}],
)
def test_what_cannot_be_kept_outside_is_said_and_kept_the_next_time(
    key: SigningKey, settings: Any, settings_: dict[str, str], tmp_path: Path
) -> None:
    settings.TURNLOG = settings_
    grow(2)
    with pytest.raises(CommandError, match="no checkpoint was signed, because it could not") as no:
        run("checkpoint_log")
    assert no.value.returncode == 2
    assert not SignedCheckpoint.objects.exists()
    settings.TURNLOG = {"CHECKPOINT_PATH": tmp_path, "CHECKPOINT_HOOK": f"{__name__}.publish"}
    published.clear()
    checkpoint_log()
    [file] = tmp_path.iterdir()
    assert published == [file.read_text()] == [SignedCheckpoint.objects.get().note]


@pytest.mark.django_db
def test_a_key_is_made_once(tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "signing.key"
    command = ("create_signing_key", "--name=example.com/chat", f"--output={path}")
    code, said = run(*command)
    public = said.splitlines()[0]
    assert code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text().strip()
    assert secret not in said
    assert str(SigningKey.parse(secret).public) == public
    with pytest.raises(CommandError, match="exists; keys are never overwritten"):
        run(*command)
    assert path.read_text().strip() == secret
    settings.TURNLOG = {"SIGNING_KEY_FILE": path}
    grow(2)
    assert run("checkpoint_log")[0] == 0


def no_key(path: Path) -> dict[str, Any]:
    return {}


def no_file(path: Path) -> dict[str, Any]:
    return {"SIGNING_KEY_FILE": str(path / "missing")}


def no_text(path: Path) -> dict[str, Any]:
    (path / "binary").write_bytes(b"\xff\xfe")
    return {"SIGNING_KEY_FILE": str(path / "binary")}


def public_key(path: Path) -> dict[str, Any]:
    (path / "public").write_text(str(KEY.public))
    return {"SIGNING_KEY_FILE": str(path / "public")}


def damaged_key(path: Path) -> dict[str, Any]:
    (path / "damaged").write_text(KEY.secret()[:-4])
    return {"SIGNING_KEY_FILE": str(path / "damaged")}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (no_key, r"found neither; create one with `manage.py create_signing_key`"),
        (
            no_file,
            r"missing, as TURNLOG\['SIGNING_KEY_FILE'\] says, but it cannot be read: No such",
        ),
        (no_text, r"binary, as .* but it cannot be read: it is not text"),
        (public_key, r"public: expected a private key, which begins with PRIVATE\+KEY\+"),
        (damaged_key, r"damaged: expected a private key"),
    ],
)
def test_without_a_key_nothing_is_signed(
    setting: Callable[[Path], dict[str, Any]], sentence: str, settings: Any, tmp_path: Path
) -> None:
    settings.TURNLOG = setting(tmp_path)
    grow(2)
    with pytest.raises(CommandError, match=sentence) as caught:
        run("checkpoint_log")
    assert caught.value.returncode == 2
    assert KEY.secret()[30:] not in str(caught.value)
    assert not SignedCheckpoint.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name=two words", "--output=x"], "--name: expected a key's name without spaces"),
        (["--name=a", "--output=/nowhere/at/all"], "/nowhere/at/all cannot be written: No such"),
    ],
)
def test_a_key_that_cannot_be_made(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as caught:
        run("create_signing_key", *arguments)
    assert caught.value.returncode == 2
    assert not os.path.exists("x")


@pytest.mark.django_db
def test_a_signing_key_that_is_no_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(keys.ENVIRONMENT, "hunter2")
    with pytest.raises(ConfigurationError, match=f"{keys.ENVIRONMENT} in the environment") as error:
        keys.signing_key()
    assert "hunter2" not in str(error.value)


def test_an_event_can_be_proven_on_its_own(key: SigningKey, db: None) -> None:
    """The recipe of the documentation."""
    stream = Conversation.objects.create()
    append(stream.pk, [NewEvent(ConversationCleared("x"), uuid.uuid4())])
    signed = checkpoint_log()
    assert signed is not None
    event = Event.objects.get(version=2)
    tree = StoredTree(signed.checkpoint.size)
    leaf = leaf_hash(bytes(event.hash))
    assert is_included(1, 2, leaf, tree.inclusion(2), signed.checkpoint.root)


# Another process signs meanwhile


@pytest.mark.django_db
@pytest.mark.parametrize("moment", ["sequence", "last_position", "store_tiles", "sample_tiles"])
def test_a_longer_log_that_another_process_signs_meanwhile_accuses_nobody(
    key: SigningKey,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Before any step of one signing, another process signs a log that has grown by two tiles."""
    settings.TURNLOG = {"CHECKPOINT_PATH": str(tmp_path)}
    grow(300)
    checkpoint_log()
    grow(10)
    module = checkpoints.tables if moment == "last_position" else checkpoints
    original = getattr(module, moment)
    raced: list[int] = []

    def overtaken(*arguments: Any) -> Any:
        if not raced:
            raced.append(1)
            grow(600)
            assert run("checkpoint_log")[0] == 0
        return original(*arguments)

    monkeypatch.setattr(module, moment, overtaken)
    code, said = run("checkpoint_log")
    assert raced
    assert (code, said.partition(", root")[0].partition(": ")[0]) == (0, "example.com/chat"), said
    assert run("verify_log")[0] == 0
    assert run("verify_log", "--since-checkpoint")[0] == 0


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["whole", "since_checkpoint"])
def test_a_checkpoint_that_is_kept_while_a_verification_begins_accuses_nobody(
    key: SigningKey, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    settings.TURNLOG = {"CHECKPOINT_PATH": str(tmp_path)}
    grow(20)
    checkpoint_log()
    original = verification.snapshot

    def later(*arguments: Any) -> Any:
        monkeypatch.setattr(verification, "snapshot", original)
        grow(300)
        assert run("checkpoint_log")[0] == 0
        return original(*arguments)

    monkeypatch.setattr(verification, "snapshot", later)
    verifier = verification.Verifier([key.public])
    assert [str(problem) for problem in getattr(verifier, way)()] == []


@pytest.mark.django_db
def test_tiles_beyond_the_end_are_still_reported(key: SigningKey) -> None:
    grow(300)
    checkpoint_log()
    execute("DELETE FROM turnlog_signed_checkpoint")
    execute("DELETE FROM turnlog_position WHERE position > 100")
    execute("DELETE FROM turnlog_event WHERE version > 100")
    execute("DELETE FROM turnlog_pending")
    code, said = run("checkpoint_log")
    assert code == 1
    assert "expected at most 0 stored tiles for 100 positions, found 1" in said
