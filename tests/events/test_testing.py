"""What people who use turnlog in their own tests lean on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection

from turnlog.events.testing import _is_test_database

SETTINGS = """
SECRET_KEY = "x"
DATABASES = {{"default": {database!r}}}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes",
    "turnlog.core", "turnlog.events.apps.EventsConfig", "turnlog.projections", "turnlog.consumers",
]
TEST_RUNNER = "turnlog.events.testing.TurnlogTestRunner"
USE_TZ = True
"""
TESTS = """
from django.test import TransactionTestCase
from langchain_core.messages import AIMessage
from turnlog.models import Conversation, ConversationMessage

class Chats(TransactionTestCase):
    def record(self):
        Conversation.objects.create().record_turn("a", AIMessage("b"))
        self.assertEqual(ConversationMessage.objects.count(), 2)

    test_one = record
    test_two = record
"""


@pytest.mark.parametrize("runner", ["django", "pytest"])
def test_a_projects_own_tests_can_flush(runner: str, tmp_path: Path) -> None:
    # As in most projects, nothing is said of the test database's name.
    database = {
        k: v for k, v in connection.settings_dict.items() if k in ("ENGINE", "USER", "HOST")
    }
    database["NAME"] = str(tmp_path / "db") if connection.vendor == "sqlite" else f"shop_{runner}"
    (tmp_path / "project_settings.py").write_text(SETTINGS.format(database=database))
    (tmp_path / "test_chats.py").write_text(TESTS)
    command = {
        "django": ["-m", "django", "test", "test_chats", "--noinput"],
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_chats.py", "--create-db"],
    }[runner]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project_settings",
            "PYTHONPATH": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout or "Ran 2 tests" in done.stderr


def test_a_database_that_is_not_a_test_database_is_left_alone() -> None:
    def is_test(name: str, test_name: str | None) -> bool:
        settings = {"NAME": name, "TEST": {"NAME": test_name}}
        return _is_test_database(SimpleNamespace(settings_dict=settings))

    assert is_test("test_shop", None)
    assert is_test("trial", "trial")
    assert is_test("trial_2", "trial")
    assert is_test("file:memorydb_default?mode=memory&cache=shared", None)
    assert not is_test("shop", None)
    assert not is_test("shop", "trial")
    assert not is_test("trials", "trial")
