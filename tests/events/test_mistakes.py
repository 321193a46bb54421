"""A user's mistake is one sentence and an exit code, whichever command it is made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from turnlog.core.commands import TurnlogCommand
from turnlog.events.proof import keys

HUGE = str(10**22)


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command(*arguments)
    said = str(caught.value)
    assert said.count("\n") == 0
    return said


NO_FILE = {
    "create_signing_key": ("--name=example.com/chat", "--output="),
    "export_log": ("--output=",),
    "verify_log": ("--checkpoint=",),
    "erasure_receipts": ("--output=",),
    "erase_payload": ("--again=",),
}


@pytest.mark.parametrize("command", NO_FILE)
def test_a_file_without_a_name(command: str) -> None:
    assert "expected a file's name, found an empty text" in refused(command, *NO_FILE[command])


@pytest.mark.django_db
@pytest.mark.parametrize("pk", ["0", "-1", "999999", HUGE, f"-{HUGE}"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify_log", "--conversation={}"),
        ("export_log", "--output=x", "--conversation={}"),
        ("erase_payload", "--reason=r", "--conversation={}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_conversation_that_is_not_there(arguments: tuple[str, ...], pk: str) -> None:
    assert f"there is no conversation {pk}" in refused(*(each.format(pk) for each in arguments))


def test_a_key_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "key"):
        if path != tmp_path:
            path.write_text("here")
        said = refused("create_signing_key", "--name=a.example/b", f"--output={path}")
        assert f"expected a new file, found {path}, which exists" in said
    assert (tmp_path / "key").read_text() == "here"
    away = tmp_path / "away" / "key"
    said = refused("create_signing_key", "--name=a.example/b", f"--output={away}")
    assert said == f"{away} cannot be written: No such file or directory"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys.os, "fsync", full)
    said = refused("create_signing_key", "--name=a.example/b", f"--output={tmp_path / 'new'}")
    assert said.endswith("cannot be written: No space left on device")
    assert not (tmp_path / "new").exists(), "half a key is none"


@pytest.mark.django_db
def test_a_database_that_was_not_migrated() -> None:
    class Reading(TurnlogCommand):
        def run(self, **options: Any) -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM turnlog_not_there")

    with pytest.raises(CommandError, match=r"run `manage\.py migrate` first") as caught:
        call_command(Reading())
    assert caught.value.returncode == 2
