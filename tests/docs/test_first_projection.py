"""docs/first-projection.md, done step by step: its commands, its code and the changes it makes.

The commands run in a copy of the tutorial's project, and print what the page shows.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests import forked
from tests.docs.pages import DOCS, TUTORIAL
from tests.docs.rendered import Code, blocks

PAGE = DOCS / "first-projection.md"
KOREAN = DOCS / "ko" / "first-projection.md"
SERVICE = "python manage.py run_projections"


class Project:
    """A copy of the tutorial's project, in which the page's steps are done."""

    def __init__(self, folder: Path) -> None:
        skipped = shutil.ignore_patterns("db.sqlite3*", "__pycache__")
        shutil.copytree(TUTORIAL, folder, ignore=skipped)
        self.folder = folder
        theirs = ("PG", "OPENAI_", "TURNLOG_", "DJANGO_", "SQL", "PYTHON")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        self.environment = {**clean, "SQL_LOG": "WARNING", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *arguments: str) -> tuple[int, str, str]:
        done = forked.run("manage.py", *arguments, folder=self.folder, environment=self.environment)
        return done.returncode, done.stdout, done.stderr

    def follow(self, block: Code) -> None:
        """Do what a block of the page says."""
        match block.language:
            case "python" if block.file and (self.folder / block.file).is_file():
                (self.folder / block.file).write_text(block.code, encoding="utf-8")
            case "python" if "TestCase" in block.code:
                (self.folder / "questions" / "tests.py").write_text(block.code, encoding="utf-8")
            case "python":
                self.succeed("shell", "-c", block.code)
            case "diff":
                self.change(block.code)
            case "shell":
                for line in block.code.splitlines():
                    if line == SERVICE:
                        self.serve()
                    else:
                        self.succeed(*line.removeprefix("python manage.py ").split())
            case "text":
                for command, shown in sessions(block.code):
                    _, out, err = self.run(*command)
                    assert same(out or err) == same(shown), (command, err)
            case _:
                raise AssertionError(f"a block of {block.language} that nobody follows")

    def succeed(self, *arguments: str) -> None:
        code, out, err = self.run(*arguments)
        assert code == 0, (arguments, out, err)

    def change(self, diff: str) -> None:
        path = self.folder / "questions" / "projections.py"
        code = path.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@\n", diff, flags=re.M):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            assert code.count(before) == 1, before
            code = code.replace(before, after)
        path.write_text(code, encoding="utf-8")

    def serve(self) -> None:
        """The worker runs until it is told to stop, and is seen to run."""
        out, err = self.folder / "out", self.folder / "err"
        process = forked.start(
            *("manage.py", "run_projections", "questions"),
            folder=self.folder,
            environment=self.environment,
            out=out,
            err=err,
        )
        try:
            ends = time.monotonic() + 60
            while self.run("projection_status", "questions")[0] != 0:
                assert process.poll() is None, err.read_text()
                assert time.monotonic() < ends
            process.send_signal(signal.SIGTERM)
            assert (process.wait(60), err.read_text()) == (0, "")
            assert "questions: at position 5 of 5, current" in out.read_text()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def sessions(text: str) -> list[tuple[list[str], str]]:
    """(arguments, output) of each command in a block."""
    parts = re.split(r"^\$ python manage\.py (.*)\n", text, flags=re.M)
    assert parts[0] == "", "output without a command"
    return [(parts[n].split(), parts[n + 1]) for n in range(1, len(parts), 2)]


def same(output: str) -> str:
    """An output without what differs from run to run."""
    for pattern, mark in (
        (r"worker \S+,", "worker W,"),
        (r"\d+\.\d s", "N s"),
        (r"\d{4}-\d\d-\d\d", "DAY"),
    ):
        output = re.sub(pattern, mark, output)
    return output.strip()


@pytest.mark.slow_once
def test_the_page_is_followed_from_top_to_bottom(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shown = list(blocks(PAGE))
    assert {block.language for block in shown} == {"python", "diff", "shell", "text"}
    for block in shown:
        project.follow(block)


def test_the_projection_is_about_a_dozen_lines() -> None:
    code = (TUTORIAL / "questions" / "projections.py").read_text(encoding="utf-8")
    body = code.split("class QuestionsProjection(Projection):\n")[1]
    assert len([line for line in body.splitlines() if line]) <= 13


def test_both_pages_show_the_same_code() -> None:
    def shown(page: Path) -> list[tuple[str, str]]:
        """Without comments, which are in the page's language."""
        return [(b.language, re.sub(r" *# .*", "", b.code)) for b in blocks(page)]

    assert shown(PAGE) == shown(KOREAN)


def test_both_pages_have_the_same_sections() -> None:
    def sections(page: Path) -> list[str]:
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
        return re.findall(r"^(#+) ", text, re.M)

    assert sections(PAGE) == sections(KOREAN)
