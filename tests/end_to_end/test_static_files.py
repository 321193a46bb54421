"""The page works with the files as each storage leaves them: hashed, unhashed, or elsewhere."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from .browser import ChatPage, watched_context
from .project import Project, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

SETTINGS = {"DJANGO_SETTINGS_MODULE": "door_settings"}
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES = [
    "django.contrib.staticfiles.storage.StaticFilesStorage",
    "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "door_storage.WithModules",
    WHITENOISE,
]


def collect(project: Project, environment: dict[str, str]) -> None:
    done = project.manage("collectstatic", "--noinput", "-i", "hx-*-2.js", **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("storage", STORAGES)
def test_the_page_works_with_the_files_that_a_storage_collects(
    storage: str,
    browser: Browser,
    project: Project,
    sessions: dict[str, str],
    room: int,
    tmp_path: Path,
) -> None:
    files = {
        "DOOR_STORAGE": storage,
        "DOOR_STATIC_ROOT": str(tmp_path),
        "DOOR_STATIC_URL": "/static/",
    }
    collect(project, SETTINGS | files)
    hashed_only = not (tmp_path / "turnlog" / "main.js").exists()
    assert hashed_only == (storage == WHITENOISE)
    with project.server("door:application", **SETTINGS, **files) as server:
        assert_it_works(browser, server, sessions["ada"], room)


def test_the_page_works_with_files_of_another_origin(
    browser: Browser, project: Project, sessions: dict[str, str], room: int, tmp_path: Path
) -> None:
    with files_elsewhere(tmp_path) as origin:
        files = {
            "DOOR_STORAGE": WHITENOISE,
            "DOOR_STATIC_ROOT": str(tmp_path / "static"),
            "DOOR_STATIC_URL": f"{origin}/static/",
            "DOOR_FILES": origin,
        }
        collect(project, SETTINGS | files)
        with project.server("door:application", **SETTINGS, **files) as server:
            assert_it_works(browser, server, sessions["ada"], room)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def files_elsewhere(folder: Path) -> Iterator[str]:
    """A server of files, without CORS headers; its origin."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def assert_it_works(browser: Browser, server: Server, session: str, room: int) -> None:
    """Everything that a page needs its scripts for, up to the sending of a message."""
    with watched_context(browser, session) as context:
        page = ChatPage(context.new_page(), server, room).open()
        expect(page.turns).to_have_count(1)
        page.box.fill("Hello?")
        expect(page.page.locator("#turnlog-send")).to_be_enabled()
        page.box.press("Enter")
        expect(page.turns).to_have_count(2)
