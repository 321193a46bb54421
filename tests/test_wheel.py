"""The wheel, installed into an empty environment: one package, complete, and the tutorial runs."""

from __future__ import annotations

import json
import shutil
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.built_wheel import ROOT, built_wheel, install, run

pytestmark = pytest.mark.slow_once

# What the installed tree must hold beside modules: one of each kind and room.
BROUGHT_ALONG = [
    "turnlog/consumers/templates/turnlog/chat_room_ws.html",
    "turnlog/consumers/templates/turnlog/frames/turn.html",
    "turnlog/consumers/static/turnlog/turnlog.css",
    "turnlog/consumers/static/turnlog/main.js",
    "turnlog/consumers/locale/ko/LC_MESSAGES/django.mo",
    "turnlog/core/locale/ko/LC_MESSAGES/django.mo",
    "turnlog/events/locale/ko/LC_MESSAGES/django.mo",
    "turnlog/events/migrations/0001_initial.py",
    "turnlog/events/store/sql/postgresql.sql",
    "turnlog/events/store/sql/sqlite.sql",
    "turnlog/events/management/commands/export_log.py",
    "turnlog/events/management/commands/verify_log.py",
    "turnlog/events/proof/merkle.py",
    "turnlog/events/verify.py",
    "turnlog/projections/migrations/0001_initial.py",
    "turnlog/projections/management/commands/rebuild_projections.py",
    "turnlog/py.typed",
    "turnlog/models.py",
]

TRY_OUT = """
import json, pathlib
import django
django.setup()
from django.core.management import get_commands
from django.contrib.staticfiles import finders
from django.template.loader import get_template
from django.test import Client
from django.contrib.auth import get_user_model
from django.utils import translation
from example.models import LLMChatRoom
from turnlog.consumers import reverse_ws
import turnlog

client = Client(SERVER_NAME="localhost")
anonymous = client.get("/example/chat/7/").status_code
client.force_login(get_user_model().objects.get(username="demo"))
page = client.get("/example/chat/7/")
room = LLMChatRoom.objects.get(pk=7)
with translation.override("ko"):
    korean = translation.gettext("Write a message")
print(json.dumps({
    "from": str(pathlib.Path(turnlog.__file__).parent),
    "anonymous": anonymous,
    "page": page.status_code,
    "ws_url": f"/ws/example/chat/{room.conversation.pk}/" in page.content.decode(),
    "reversed": reverse_ws("language-tutor-chat", conversation_pk=3),
    "commands": sorted(n for n, app in get_commands().items() if app.startswith("turnlog.")),
    "htmx": finders.find("django_htmx/htmx-2.min.js") is not None,
    "css": finders.find("turnlog/turnlog.css") is not None,
    "korean": korean,
    "messages": room.conversation.messages.count(),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


def test_nothing_but_turnlog_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "turnlog",
        "django_turnlog-0.1.0.dist-info",
    }
    assert set(BROUGHT_ALONG) <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".po~")]


def test_every_module_of_the_checkout_is_in_it(wheel: Path) -> None:
    """A new subpackage must be added to pyproject.toml by hand."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for room in ("core", "events", "projections", "consumers"):
        for path in (ROOT / room).rglob("*.py"):
            place = path.relative_to(ROOT).as_posix()
            place = (
                place.removeprefix("consumers/turnlog/") if "consumers/turnlog/" in place else place
            )
            assert f"turnlog/{place}" in names


def test_type_checkers_find_its_types(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment)
    [site_packages] = environment.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site_packages)
    users_code = tmp_path / "users_code.py"
    users_code.write_text(
        "import turnlog.consumers, turnlog.models\n"
        "reveal_type(turnlog.consumers.AgentChatConsumer)\n"
        "reveal_type(turnlog.models.Conversation.record_turn)\n"
    )
    python = str(environment / "bin" / "python")
    options = ("--config-file=", "--python-executable", python, "--cache-dir", str(tmp_path))
    said = run(sys.executable, "-m", "mypy", *options, str(users_code), cwd=tmp_path)
    assert "-> turnlog.consumers.chat.AgentChatConsumer" in said
    assert "(self: turnlog.events.models.Conversation, human_message: Any, ai_message: Any," in said


def test_the_tutorial_runs_from_it(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    before = _importable(python)
    install(python, f"{wheel}[demo]")
    new = _importable(python) - before
    assert "turnlog" in new
    assert not new & {"core", "events", "projections", "consumers", "tests", "docs"}

    tutorial = tmp_path / "tutorial"
    ignored = shutil.ignore_patterns("db.sqlite3*", "__pycache__")
    shutil.copytree(ROOT / "docs" / "tutorial", tutorial, ignore=ignored)
    for command in ("check", "migrate", "seed_demo", "verify_log", "check_projections"):
        run(python, "manage.py", command, cwd=tutorial, SQL_LOG="INFO")
    found = json.loads(
        run(
            *(python, "-c", TRY_OUT),
            cwd=tutorial,
            DJANGO_SETTINGS_MODULE="mysite.settings",
            SQL_LOG="INFO",
        )
    )
    assert Path(found.pop("from")).is_relative_to(environment)
    assert found == {
        "anonymous": 302,
        "page": 200,
        "ws_url": True,
        "reversed": "/ws/example/chat/3/",
        "commands": [
            "apply_retention",
            "check_projections",
            "checkpoint_log",
            "create_signing_key",
            "erase_payload",
            "erasure_receipts",
            "export_log",
            "fill_review_queue",
            "hold_conversation",
            "projection_status",
            "rebuild_projections",
            "replay_conversation",
            "run_projections",
            "sweep_blobs",
            "verify_log",
        ],
        "htmx": True,
        "css": True,
        "korean": "메시지를 입력하세요",
        "messages": 0,
    }


def test_a_bundle_is_verified_by_it_alone(wheel: Path, tmp_path: Path) -> None:
    """Without Django: what an auditor installs."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    install(python, "--no-deps", str(wheel))
    install(python, "cryptography")
    assert "django" not in _importable(python)
    bundle = ROOT / "docs" / "examples" / "bundle.jsonl"
    said = run(python, "-I", "-m", "turnlog.events.verify", str(bundle), cwd=tmp_path)
    assert said.startswith("intact: 5 events in 1 conversation")


def _importable(python: str) -> set[str]:
    script = "import json, pkgutil; print(json.dumps([m.name for m in pkgutil.iter_modules()]))"
    return set(json.loads(run(python, "-c", script)))
