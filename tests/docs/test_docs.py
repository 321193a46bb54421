"""The documentation's code runs, its pages fit together, and it builds without a warning."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.docs.pages import (
    DOCS,
    HERE,
    PAGES,
    QUOTED,
    ROOT,
    ROOT_PAGES,
    TUTORIAL,
    quoted,
    relative,
    run,
    text_of,
)
from tests.docs.rendered import blocks
from turnlog.core import conf
from turnlog.events.models import Conversation

# Projects of their own, which tests/end_to_end/test_quickstart.py follows.
FOLLOWED = ("quickstart.md", "several-rooms.md", "over-http.md", "look.md", "static-files.md")
WITH_CODE = [page for page in PAGES if "\n```python\n" in page.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("migrated")
    run(TUTORIAL / "manage.py", "migrate", "--verbosity", "0", folder=folder)
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "db.sqlite3").read_bytes()


@pytest.fixture
def project(tmp_path: Path, migrated: bytes) -> Path:
    """A folder with the tutorial's migrated database."""
    (tmp_path / "db.sqlite3").write_bytes(migrated)
    return tmp_path


# Code that is shown


@pytest.mark.slow_once
@pytest.mark.parametrize("page", WITH_CODE, ids=relative)
def test_python_blocks_run(page: Path, project: Path) -> None:
    run(HERE / "run_blocks.py", str(page), folder=project)


@pytest.mark.slow_once
def test_readme_chats(project: Path) -> None:
    printed = run(HERE / "run_readme.py", str(ROOT / "README.md"), folder=project)
    assert json.loads(printed) == ["human", "ai"]


def test_readme_shows_code_in_its_first_30_lines() -> None:
    beginning = "\n".join(text_of("README.md").splitlines()[:30])
    assert beginning.count("```") == 2
    for what in ("AgentChatConsumer", "websocket_urlpatterns", "turnlog/chat_room_ws.html"):
        assert what in beginning


@pytest.mark.slow_once
def test_testing_page_runs_as_tests(tmp_path: Path) -> None:
    settings = ["from mysite.settings import *  # noqa: F403\n"]
    tests = []
    for code in re.findall(r"^```python\n(.*?)^```$", text_of("docs/testing.md"), re.M | re.S):
        (settings if re.match(r"[A-Z_]+ = ", code) else tests).append(code)
    (tmp_path / "documented_settings.py").write_text("\n".join(settings), encoding="utf-8")
    # The last block asks the database the tests ran on; inside a test there is one.
    commands = tests.pop()
    assert "verify_log" in commands
    tests.append(
        "class CommandsTest(TestCase):\n    def test_commands(self):\n"
        + "".join(f"        {line}\n" for line in commands.splitlines())
    )
    (tmp_path / "test_documented.py").write_text("\n".join(tests), encoding="utf-8")
    run(
        TUTORIAL / "manage.py",
        "test",
        "test_documented",
        folder=tmp_path,
        DJANGO_SETTINGS_MODULE="documented_settings",
    )


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in FOLLOWED], ids=relative)
def test_quoted_files_are_as_the_page_shows_them(page: Path) -> None:
    """Of the tutorial's project, parts."""
    for block in blocks(page):
        if (path := quoted(block)) is None:
            continue
        text = path.read_text(encoding="utf-8")
        if path.is_relative_to(TUTORIAL):
            indents = (textwrap.indent(block.code, " " * n) for n in (0, 4))
            assert any(code in text for code in indents), f"not in {relative(path)}:\n{block.code}"
        else:
            assert block.code == text, f"{relative(path)} is different: run `make pages`"


def test_the_tutorials_project_is_quoted() -> None:
    named = {quoted(block) for page in PAGES for block in blocks(page)}
    examples = {path for folder in QUOTED[1:] for path in folder.iterdir()}
    assert examples <= named
    for name in ("consumers", "models", "routing", "views", "urls", "admin"):
        assert TUTORIAL / "example" / f"{name}.py" in named


def test_both_tutorials_show_the_same_code() -> None:
    english, korean = DOCS / "tutorial.md", DOCS / "ko" / "tutorial.md"

    def shown(page: Path) -> list[tuple[str | None, str]]:
        """Code without comments and the demo's own sentence, which are in a page's language."""
        return [(b.file, re.sub(r"^ *#.*\n", "", b.code, flags=re.M)) for b in blocks(page)]

    assert shown(english) == shown(korean)


def headings(page: Path) -> list[int]:
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_both_tutorials_have_the_same_sections() -> None:
    assert headings(DOCS / "tutorial.md") == headings(DOCS / "ko" / "tutorial.md")


# The tutorial's SQL


def statements(sql: str) -> list[str]:
    """Statements without comments, values, line breaks, and quotes (Django versions differ)."""
    sql = re.sub(r"--.*", "", sql).replace('"', "")
    sql = re.sub(r"X?'(?:[^']|'')*'", "?", sql)
    sql = re.sub(r"(?<!\w)\d+\b", "?", sql)
    found = [re.sub(r"\s+", " ", one).strip() for one in sql.split(";")]
    return [re.sub(r" ?([(),]) ?", r"\1", one) for one in found if one]


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_shown_sql_is_what_is_run(conversation: Conversation, user: Any) -> None:
    from langchain_core.messages import AIMessage, HumanMessage

    from turnlog.projections.models import ConversationMessage
    from turnlog.projections.transcript import read_transcript

    turn = conversation.start_turn("hello", user=user)
    with CaptureQueriesContext(connection) as recorded:
        conversation.record_turn(
            HumanMessage("hello"),
            AIMessage("你好"),
            user=user,
            turn_id=turn.turn_id,
            metadata={"tools_at": []},
        )
    assert ran(recorded) == statements(text_of("docs/sql/record.sql"))
    with CaptureQueriesContext(connection) as read:
        read_transcript(conversation.pk, user, limit=conf.get().history_turns)
        ConversationMessage.objects.get_histories(conversation, user)
    assert ran(read) == statements(text_of("docs/sql/read.sql"))


def ran(captured: CaptureQueriesContext) -> list[str]:
    return statements(";\n".join(query["sql"] for query in captured.captured_queries))


# Pages


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=relative)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} in {relative(page)}"
        if anchor:
            assert anchor in anchors(path), f"{target} in {relative(page)}"


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    explicit = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return explicit | slugs


def test_every_decision_is_listed() -> None:
    index = text_of("docs/decisions/index.md")
    listed = re.findall(r"^- \[(.*)\]\(([\w-]+)\.md\)$", index, re.MULTILINE)
    names = [name for _, name in listed]
    assert names == sorted(path.stem for path in (DOCS / "decisions").glob("0*.md"))
    for title, name in listed:
        text = text_of(f"docs/decisions/{name}.md")
        assert text.startswith(f"# {title}\n")
        assert title.startswith(f"{int(name[:4])}. ")
        assert re.findall(r"^## (.*)$", text, re.M) == ["Context", "Decision", "Consequences"]


@pytest.mark.slow_once
def test_sphinx_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E"),
            *("-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "SQLITE_PATH": str(tmp_path / "db")},
    )
    assert result.returncode == 0, result.stderr
