"""What a command prints is written, or it says that it was not; a reader may go."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from turnlog.core.commands import TurnlogCommand
from turnlog.core.output import tell
from turnlog.events import verify

FULL = Path("/dev/full")
on_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture
def unread() -> Iterator[Any]:
    """A pipe whose reader is gone, as after `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out:
        yield out


@pytest.fixture
def full() -> Iterator[Any]:
    with FULL.open("w") as out:
        yield out


class Finding(TurnlogCommand):
    def run(self, *args: Any, **options: Any) -> None:
        self.report(options["json"], {"ok": False}, "something is wrong")
        self.found_something()


def run(out: Any, *, as_json: bool) -> None:
    Finding(stdout=out).handle(json=as_json)


def test_a_line_is_written_at_once() -> None:
    out = io.StringIO()
    assert tell(out, "one")
    assert tell(out, "two\n")
    assert out.getvalue() == "one\ntwo\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_is_told_though_nobody_reads(unread: Any, as_json: bool) -> None:
    with pytest.raises(SystemExit) as ended:
        run(unread, as_json=as_json)
    assert ended.value.code == 1


@on_a_full_disk
@pytest.mark.parametrize("as_json", [False, True])
def test_a_result_that_cannot_be_written(full: Any, as_json: bool) -> None:
    with pytest.raises(CommandError, match=r"could not be written .* No space left") as refused:
        run(full, as_json=as_json)
    assert refused.value.returncode == 2


@on_a_full_disk
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_verifier_says_that_it_could_not_say(
    full: Any, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.stdout", full)
    bundle = next((Path(__file__).parents[1] / "events" / "proof" / "bundles").iterdir())
    assert verify.main([str(bundle), *options]) == 2
    assert "could not be written: No space left" in capsys.readouterr().err
