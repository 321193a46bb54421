"""The documentation is what the code does: its blocks run, its tables are compared with the code."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from turnlog.consumers.frames import Encoder, HtmlEncoder, JsonEncoder, Progress
from turnlog.consumers.turn_view import TurnView
from turnlog.core import codec, conf
from turnlog.core.codec.dispatch import DECODERS
from turnlog.events import hashing
from turnlog.events.append_only import TRIGGERS
from turnlog.events.models import Conversation, Event
from turnlog.events.types import EVENT_TYPES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial"
HERE = Path(__file__).resolve().parent

PAGES = sorted([*DOCS.glob("*.md"), *(DOCS / "ko").glob("*.md"), *(DOCS / "decisions").glob("*.md")])
ROOT_PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
WITH_CODE = [
    page
    for page in PAGES
    if re.search(r"^```python$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = heading.split(" ", 1)[0]
    _, _, rest = text.partition(f"\n{heading}\n")
    assert rest, f"no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Cells of all table rows, without headers and rules."""
    found = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not line.startswith("|") or set(line) <= set("|-: ") or set(following) <= set("|-: ") != set():
            if not (line.startswith("|") and not following):
                continue
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        found.append([cell.strip() for cell in cells])
    return found


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def run(script: str, *arguments: str, folder: Path, **environment: str) -> str:
    """A script in the tutorial's project, on a database of its own; what it printed."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "OPENAI_", "TURNLOG_", "DJANGO_"))
    }
    paths = [str(TUTORIAL), str(ROOT), str(HERE), str(folder)]
    result = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=folder,
        env=clean
        | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "OFFLINE_TUTOR_PAUSE": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            "SQLITE_PATH": str(folder / "db.sqlite3"),
            "SQL_LOG": "WARNING",
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("migrated")
    run(str(TUTORIAL / "manage.py"), "migrate", "--verbosity", "0", folder=folder)
    with connection_to(folder / "db.sqlite3") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "db.sqlite3").read_bytes()


@pytest.fixture
def project(tmp_path: Path, migrated: bytes) -> Path:
    """A folder with the tutorial's migrated database."""
    (tmp_path / "db.sqlite3").write_bytes(migrated)
    return tmp_path


def connection_to(path: Path) -> Any:
    import contextlib
    import sqlite3

    return contextlib.closing(sqlite3.connect(path))


# Code that is shown


@pytest.mark.slow_once
@pytest.mark.parametrize("page", WITH_CODE, ids=relative)
def test_python_blocks_run(page: Path, project: Path) -> None:
    run(str(HERE / "run_blocks.py"), str(page), folder=project)


@pytest.mark.slow_once
def test_readme_chats(project: Path) -> None:
    printed = run(str(HERE / "run_readme.py"), str(ROOT / "README.md"), folder=project)
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
        str(TUTORIAL / "manage.py"),
        "test",
        "test_documented",
        folder=tmp_path,
        DJANGO_SETTINGS_MODULE="documented_settings",
    )


def included(page: Path) -> list[tuple[Path, str, dict[str, str]]]:
    """(file, language, options) of each literalinclude, in order."""
    pattern = r"^`{3,}\{literalinclude\} (\S+)\n((?::.*\n)*)`{3,}$"
    found = []
    for target, block in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE):
        options = dict(re.findall(r"^:([\w-]+): *(.*)$", block, re.MULTILINE))
        options = {name: value.strip('"') for name, value in options.items()}
        found.append(((page.parent / target).resolve(), options.pop("language", ""), options))
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if included(page)], ids=relative)
def test_included_files_and_their_markers_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("{literalinclude}") == len(included(page)), "one is not understood"
    for target, _, options in included(page):
        assert target.is_file(), target
        lines = target.read_text(encoding="utf-8").splitlines()
        places = {}
        for option in ("start-after", "start-at", "end-before", "end-at"):
            if option in options:
                # Sphinx takes the first line that contains the text.
                hits = [n for n, line in enumerate(lines) if options[option] in line]
                assert hits, f"{target.name} has no line with {options[option]!r}"
                places[option] = hits[0]
        start = places.get("start-after", places.get("start-at", -1))
        ends = [n for option, n in places.items() if option.startswith("end")]
        assert all(end >= start for end in ends), f"{target.name}: {options} is empty"


def test_tutorial_markers_are_used() -> None:
    used = {
        value for page in PAGES for _, _, options in included(page) for value in options.values()
    }
    for path in TUTORIAL.rglob("*.py"):
        for marker in re.findall(r"# tutorial:[\w-]+", path.read_text(encoding="utf-8")):
            assert marker in used, f"{path.name}: {marker} marks nothing"


def test_both_tutorials_show_the_same_code() -> None:
    english, korean = DOCS / "tutorial.md", DOCS / "ko" / "tutorial.md"
    assert included(english) == included(korean)

    def shown(page: Path) -> list[str]:
        """Code blocks without their comments, which are in the page's language."""
        blocks = re.findall(r"^```(\w+\n.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        return [re.sub(r"^ *#.*\n", "", block, flags=re.MULTILINE) for block in blocks]

    assert shown(english) == shown(korean)


def headings(page: Path) -> list[int]:
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_both_tutorials_have_the_same_sections() -> None:
    assert headings(DOCS / "tutorial.md") == headings(DOCS / "ko" / "tutorial.md")


# Links


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
    listed = re.findall(r"^(\d{4}-[\w-]+)$", text_of("docs/decisions/index.md"), re.MULTILINE)
    assert listed == sorted(path.stem for path in (DOCS / "decisions").glob("0*.md"))
    for name in listed:
        text = text_of(f"docs/decisions/{name}.md")
        assert text.startswith(f"# {int(name[:4])}. ")
        assert re.findall(r"^## (.*)$", text, re.M) == ["Context", "Decision", "Consequences"]


@pytest.mark.slow_once
def test_sphinx_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E"]
        + ["-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "SQLITE_PATH": str(tmp_path / "db")},
    )
    assert result.returncode == 0, result.stderr
    # The markers themselves are not shown, nor what comes after them.
    shown = (tmp_path / "html" / "tutorial.html").read_text(encoding="utf-8")
    assert "tutorial:" not in re.sub(r"<[^>]+>", "", shown)


# The log's format


def stored_example() -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of("docs/examples/stream.jsonl").splitlines()]


def test_worked_example_is_recomputed() -> None:
    page = text_of("docs/log-format.md")
    previous = hashing.GENESIS
    hashes = []
    for number, event in enumerate(stored_example(), 1):
        digest = hashing.payload_digest(bytes.fromhex(event["salt"]), event["payload"])
        previous = hashing.event_hash(
            previous,
            stream_id=event["stream_id"],
            version=number,
            type=event["type"],
            schema=event["schema"],
            turn_id=event["turn_id"] and uuid.UUID(event["turn_id"]),
            actor_id=event["actor_id"] and uuid.UUID(event["actor_id"]),
            recorded_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            + dt.timedelta(microseconds=event["recorded_at"]),
            metadata=event["metadata"],
            digest=digest,
        )
        assert (event["version"], event["digest"]) == (number, digest.hex())
        assert event["hash"] == previous.hex()
        hashes.append(f"{number}  {previous.hex()}\n")
        assert EVENT_TYPES[event["type"]].from_payload(json.loads(event["payload"]))
    assert "".join(hashes) in page
    head = previous.hex()
    assert f"conversation 7: {number} events, head {head}\n" in page


def test_worked_example_shows_the_bytes_of_its_first_event() -> None:
    from hashlib import sha256

    page = text_of("docs/log-format.md")
    fields = re.search(r"^tag .*?^metadata .*?$", page, re.MULTILINE | re.DOTALL)
    assert fields
    shown = bytes.fromhex("".join(line.split(" ", 1)[1] for line in fields[0].splitlines()))
    first = stored_example()[0]
    assert sha256(shown).hexdigest() == first["hash"]
    assert f"payload  {first['payload']}\ndigest   {first['digest']}\n" in page
    assert str(first["recorded_at"]) in page


def verify(lines: str) -> subprocess.CompletedProcess[str]:
    script = DOCS / "examples" / "verify.py"
    # Isolated: nothing but the standard library.
    command = [sys.executable, "-I", "-S", str(script)]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)


def test_verify_script_agrees_and_finds_changes() -> None:
    stored = text_of("docs/examples/stream.jsonl")
    result = verify(stored)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in text_of("docs/log-format.md")

    def changed(version: int, **fields: Any) -> str:
        events = stored_example()
        events[version - 1] |= fields
        return "".join(json.dumps(event) + "\n" for event in events)

    assert verify(changed(2, payload=None, salt=None)).returncode == 0, "erased, not changed"
    assert "version 2: another payload" in verify(changed(2, payload="{}")).stderr
    for field, value in {
        "metadata": "{}",
        "recorded_at": 0,
        "type": "TurnStarted",
        "schema": 2,
        "turn_id": None,
        "actor_id": str(uuid.UUID(int=1)),
        "hash": "00" * 32,
    }.items():
        result = verify(changed(2, **{field: value}))
        assert result.returncode == 1, field
        assert "version 2: the chain is broken" in result.stderr
    without_second = "".join(stored.splitlines(keepends=True)[::2])
    assert "version 3: the chain is broken" in verify(without_second).stderr


@pytest.mark.django_db
def test_exported_rows_verify(conversation: Conversation, user: Any) -> None:
    from langchain_core.messages import AIMessage, HumanMessage

    turn = conversation.start_turn("얼마예요? \x00 \ud800", user=user)
    conversation.record_turn(
        HumanMessage("얼마예요? \x00 \ud800"), AIMessage("32元"), user=user, turn_id=turn.turn_id
    )
    conversation.clear()
    # A round second: SQLite stores it without a fraction. Just below one: it must not be rounded.
    for microsecond in (0, 999_999):
        _append_at(dt.datetime(2199, 1, 1, 0, 0, microsecond and 1, microsecond, tzinfo=dt.UTC))
    with connection.cursor() as cursor:
        cursor.execute(text_of(f"docs/examples/export-{connection.vendor}.sql"))
        lines = [
            value if isinstance(value, str) else json.dumps(value) for (value,) in cursor.fetchall()
        ]
    result = verify("\n".join(lines) + "\n")
    assert result.returncode == 0, result.stderr
    last = Event.objects.filter(stream_id=conversation.pk).order_by("version").last()
    assert last is not None
    assert f"conversation {conversation.pk}: {last.version} events" in result.stdout
    assert bytes(last.hash).hex() in result.stdout


def _append_at(moment: dt.datetime) -> None:
    from unittest import mock

    with mock.patch("turnlog.events.log.timezone.now", return_value=moment):
        Conversation.objects.create().clear()


def test_columns_and_tables_are_those_of_the_models() -> None:
    from django.apps import apps

    page = section(text_of("docs/log-format.md"), "## Tables")
    tables = page.split("The others:")
    documented = [codes(row[0])[0] for row in rows(tables[0])]
    assert documented == [field.column for field in Event._meta.concrete_fields]
    others = {codes(row[0])[0] for row in rows(tables[1])}
    models = {
        model._meta.db_table
        for label in ("turnlog_events", "turnlog_projections")
        for model in apps.get_app_config(label).get_models()
    }
    assert others == models - {"turnlog_event"}


def test_event_types_and_their_fields_are_documented() -> None:
    documented = {
        codes(row[0])[0]: row[1]
        for row in rows(section(text_of("docs/log-format.md"), "## Event types"))
    }
    assert set(documented) == set(EVENT_TYPES)
    for name, cls in EVENT_TYPES.items():
        assert f"{cls.schema}" == "1", "log-format.md says that every schema is 1"
        if name == "MessageAppended":
            continue
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            assert f"`{field.name}`" in documented[name], f"{name}.{field.name}"


def test_triggers_are_documented() -> None:
    page = section(text_of("docs/log-format.md"), "## Append-only")
    documented = {row[0].split()[0].lower() if "`" not in row[0] else "insert": row for row in rows(page)}
    for vendor, column in (("postgresql", 1), ("sqlite", 2)):
        refused = {name for name, row in documented.items() if row[column] == "refused"}
        assert refused == {trigger.rsplit("_", 1)[1] for trigger in TRIGGERS[vendor]}


# Frames


def encoder_frames() -> set[str]:
    return {name for name, value in vars(Encoder).items() if callable(value) and name[0] != "_"}


def test_frames_are_those_of_the_encoders() -> None:
    page = section(text_of("docs/frames.md"), "## What the server sends")
    documented = re.findall(r"^### `(\w+)`$", page, re.MULTILINE)
    assert set(documented) == encoder_frames()
    for encoder in (HtmlEncoder, JsonEncoder):
        assert encoder_frames() <= set(vars(encoder))
    templates = ROOT / "consumers" / "templates" / "turnlog" / "frames"
    on_disk = {path.name for path in templates.glob("*.html") if not path.name.startswith("_")}
    assert set(re.findall(r"`(\w+\.html)`", page)) == on_disk


def json_frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each kind of JSON frame, with the heading under which it is documented."""
    encoder = JsonEncoder()
    card = {"kind": "tool", "id": "0", "name": "look_up", "input": "{}"}
    result = {"kind": "tool_result", "id": "0", "status": "ok", "output": "32", "seconds": 0.1}
    turn = TurnView(
        id=str(uuid.uuid4()),
        version=3,
        outcome="open",
        human_text="How much?",
        show_human=True,
        at=None,
        pieces=[card, result],
        text="32.",
    )
    produced = {
        "hello": encoder.hello(max_length=1, banner="", welcome=""),
        "reset": encoder.reset(),
        "turn": encoder.turn(turn, 3),
        "progress": encoder.progress(turn, Progress()),
        "ended": encoder.ended(turn, 3, Progress()),
        "earlier": encoder.earlier([turn], more=True, before=2),
        "notice": encoder.notice("No.", level="error"),
    }
    assert set(produced) == encoder_frames()
    for heading, frames in produced.items():
        for frame in frames:
            yield heading, json.loads(frame)


def test_json_fields_are_documented() -> None:
    page = text_of("docs/frames.md")
    general = section(page, "## What the server sends")
    for heading, frame in json_frames():
        own = section(page, f"### `{heading}`")
        if "role" in frame:
            known = general
            assert {"id", "role", "mode", "content"} <= set(frame)
        else:
            known = section(page, "### `turn`") if frame["type"] == "turn" else own
            assert frame["type"] in page
        for field in frame:
            assert f"`{field}`" in known or f'"{field}"' in known, f"{heading}: {field}"


def test_fields_in_tables_exist() -> None:
    """The other way round: nothing is documented that no frame has."""
    page = text_of("docs/frames.md")
    by_type = {frame["type"]: set(frame) for _, frame in json_frames() if "type" in frame}
    for kind in ("hello", "turn", "earlier", "notice"):
        documented = {
            names[0]
            for row in rows(section(page, f"### `{kind}`"))
            if len(row) == 2 and (names := codes(row[0]))
        }
        assert documented == by_type[kind]


def test_requests_are_documented() -> None:
    from turnlog.consumers.requests import _FIELDS, _IGNORED

    page = section(text_of("docs/frames.md"), "## What the client sends")
    documented = {
        frozenset(name for name in codes(row[1]) if re.fullmatch(r"[a-z_]+", name))
        for row in rows(page)
    }
    assert documented == {frozenset(fields) for fields in _FIELDS.values()}
    assert all(f"`{name}`" in page for name in _IGNORED)
    assert {kind for kind in _FIELDS if kind} == set(re.findall(r'`type`: `"(\w+)"`', page))


def test_close_codes_and_ids_are_documented() -> None:
    from turnlog.consumers import websocket

    page = text_of("docs/frames.md")
    listed = {row[0] for row in rows(section(page, "## Close codes"))}
    assert {str(websocket.SESSION_ENDED), str(websocket.TRY_AGAIN_LATER), "1011"} <= listed
    template = text_of("consumers/templates/turnlog/chat_room_ws.html")
    aimed_at = set(re.findall(r'\bid="(turnlog[\w-]*)"', template)) - {"turnlog-sign-in"}
    assert set(codes(section(page, "## The ids on the page"))) >= aimed_at


# Settings, commands, checks, codec


def test_settings_are_documented_with_their_defaults() -> None:
    documented = {
        codes(row[0])[0]: codes(row[1])[0]
        for row in rows(section(text_of("docs/settings.md"), "## `TURNLOG`"))
    }
    expected = {
        field.name.upper(): repr(field.default) for field in dataclasses.fields(conf.Settings)
    }
    assert documented == expected


def test_consumer_attributes_are_documented_with_their_defaults() -> None:
    from turnlog.consumers import AgentChatConsumer
    from turnlog.consumers.mixins import AgentMixin, LLMMixin

    text = text_of("docs/settings.md")
    documented = {
        codes(row[0])[0]: codes(row[1])[0]
        for row in rows(section(text, "## A consumer's attributes"))
    }
    public = {
        name
        for mixin in (LLMMixin, AgentMixin)
        for name in mixin.__annotations__
        if not name.startswith("_")
    } - {"current_turn"}
    assert set(documented) == public
    for name, shown in documented.items():
        value = getattr(AgentChatConsumer, name)
        assert shown.replace('"', "'") in (repr(value), str(value)), name


def test_hooks_are_documented() -> None:
    from turnlog.consumers import AgentChatConsumer
    from turnlog.consumers.mixins import AgentMixin, ChatMixin, LLMMixin

    page = section(text_of("docs/settings.md"), "## Methods to override")
    named = {
        re.match(r"(?:async )?(\w+)", code)[1]  # type: ignore[index]
        for row in rows(page)
        for code in codes(row[0])
    }
    for name in named:
        assert callable(getattr(AgentChatConsumer, name)), name
    public = {
        name
        for mixin in (LLMMixin, AgentMixin, ChatMixin)
        for name, value in vars(mixin).items()
        if callable(value) and not name.startswith("_")
    }
    assert public - named == {"aget_setup", "render_template"}


def test_system_checks_are_documented() -> None:
    used = {
        found
        for folder in ("core", "events", "projections", "consumers")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r'id="(turnlog\.[A-Z]\d+)"', path.read_text(encoding="utf-8"))
    }
    listed = {codes(row[0])[0] for row in rows(section(text_of("docs/settings.md"), "## System checks"))}
    assert listed == used


def test_commands_are_documented() -> None:
    from django.core.management import get_commands, load_command_class

    page = section(text_of("docs/operations.md"), "## Commands")
    documented = {
        match[1]: set(re.findall(r"--(\w+)", match[2]))
        for match in re.finditer(r"^\| `(\w+) ?(.*?)` \|", page, re.MULTILINE)
    }
    ours = {name for name, app in get_commands().items() if str(app).startswith("turnlog.")}
    assert set(documented) == ours
    for name in ours:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        django_own = {"help", "version", "verbosity", "settings", "pythonpath", "traceback"}
        django_own |= {"no-color", "force-color", "skip-checks", "json"}
        options = {o[2:] for action in parser._actions for o in action.option_strings if o[:2] == "--"}
        assert documented[name] == options - django_own


def test_codec_tags_are_documented() -> None:
    import turnlog.core.codec.images
    import turnlog.core.codec.numpy_arrays
    import turnlog.core.codec.pandas_frames  # noqa: F401

    page = text_of("docs/codec.md")
    missing = {tag for tag in DECODERS if f"`{tag}`" not in page}
    messages = {tag for tag in missing if re.fullmatch(r"\w+Message(Chunk)?", tag)}
    # Legacy tags are read and never written; a pytz zone stands within pandas' own values.
    assert missing - messages == {"DataFrame", "Series", "pandas.pytz"}
    assert f"nest {codec.MAX_DEPTH} levels deep" in page


# The tutorial's SQL


def statements(sql: str) -> list[str]:
    """Statements without comments, values and line breaks."""
    sql = re.sub(r"--.*", "", sql)
    sql = re.sub(r"X?'(?:[^']|'')*'", "?", sql)
    sql = re.sub(r"(?<![\w\"])\d+\b", "?", sql)
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
