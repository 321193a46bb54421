"""What people who use turnlog in their own tests lean on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
SECRET_KEY = "x"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name!r}}}}}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes",
    "turnlog.core", "turnlog.events", "turnlog.projections", "turnlog.consumers",
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


@pytest.mark.slow_once
@pytest.mark.parametrize("runner", ["django", "pytest"])
def test_a_projects_own_tests_can_flush(runner: str, tmp_path: Path) -> None:
    (tmp_path / "project_settings.py").write_text(SETTINGS.format(name=str(tmp_path / "db")))
    (tmp_path / "test_chats.py").write_text(TESTS)
    command = {
        "django": ["-m", "django", "test", "test_chats"],
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_chats.py"],
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
    from types import SimpleNamespace

    from turnlog.events.testing import _is_test_database

    def connection(name: str) -> SimpleNamespace:
        creation = SimpleNamespace(_get_test_db_name=lambda: "test_shop")
        return SimpleNamespace(settings_dict={"NAME": name}, creation=creation)

    assert _is_test_database(connection("test_shop"))
    assert _is_test_database(connection("test_shop_2"))
    assert not _is_test_database(connection("shop"))
    assert not _is_test_database(connection("test_shopping"))
