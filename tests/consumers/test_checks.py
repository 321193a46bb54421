"""What the system checks of the chat find, and what they leave alone."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from django.conf import settings as settings_now
from django.contrib.staticfiles import finders
from django.core.checks import run_checks
from django.urls import include, path
from django.utils.module_loading import import_string

from turnlog.consumers import checks
from turnlog.consumers.attachments import pictures
from turnlog.consumers.checks import (
    HTMX,
    LOG_CHANNEL_MANAGER,
    LOG_STORAGE,
    check_asgi_application,
    check_eventstream,
    check_htmx,
    check_pictures,
    check_runserver,
)
from turnlog.events import hooks


@pytest.fixture
def without_htmx(settings: Any) -> Any:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_htmx"]
    finders.get_finder.cache_clear()
    yield settings
    finders.get_finder.cache_clear()


def test_hooks_are_called_once_also_if_the_installed_apps_change(settings: Any) -> None:
    """Django prepares all apps again then."""
    names = ("after_commit", "erasers", "finishers", "forgetters")
    before = {name: [*getattr(hooks, name)] for name in names}
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS]
    assert before == {name: getattr(hooks, name) for name in names}
    assert all(before.values())


def test_with_django_htmx_installed_the_page_is_complete() -> None:
    assert "turnlog.W002" not in {found.id for found in run_checks()}


def test_without_it_the_check_says_what_to_install(without_htmx: Any) -> None:
    [warning] = check_htmx(None)
    assert warning.id == "turnlog.W002"
    assert "Add 'django_htmx' to INSTALLED_APPS" in str(warning.hint)


def test_a_site_may_serve_htmx_in_another_way(without_htmx: Any, tmp_path: Any) -> None:
    copied = tmp_path / HTMX
    copied.parent.mkdir()
    copied.touch()
    without_htmx.STATICFILES_DIRS = [tmp_path]
    assert check_htmx(None) == []


def test_without_staticfiles_there_is_nothing_to_find(without_htmx: Any) -> None:
    without_htmx.INSTALLED_APPS = ["turnlog.core"]
    assert check_htmx(None) == []


def test_turnlog_changes_no_settings() -> None:
    assert settings_now.STATICFILES_DIRS == []


@pytest.mark.parametrize("named", [None, "", "application", "mysite/asgi.py", 7])
def test_a_site_without_an_asgi_application_is_told_to_name_one(named: Any, settings: Any) -> None:
    assert "turnlog.W003" not in {found.id for found in run_checks()}
    settings.ASGI_APPLICATION = named
    [warning] = [found for found in run_checks() if found.id == "turnlog.W003"]
    assert f"found {named!r}" in warning.msg
    assert "ASGI_APPLICATION = 'mysite.asgi.application'" in str(warning.hint)


def test_checking_does_not_import_the_asgi_application(settings: Any) -> None:
    settings.ASGI_APPLICATION = "nowhere.asgi.application"
    assert check_asgi_application(None) == []


@pytest.mark.parametrize("app", ["django.core", "django.contrib.staticfiles"])
def test_djangos_own_runserver_is_told_that_it_has_no_websockets(
    app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "get_commands", lambda: {"runserver": app})
    assert check_runserver(None) == []
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver", "8001"])
    assert [found.id for found in run_checks()] == ["turnlog.W004"]
    monkeypatch.setattr(checks, "get_commands", lambda: {"runserver": "daphne"})
    assert check_runserver(None) == []


def test_whoever_gives_the_log_to_eventstream_lets_turnlog_say_who_may(settings: Any) -> None:
    assert check_eventstream(None) == []
    settings.EVENTSTREAM_STORAGE_CLASS = LOG_STORAGE
    [error] = check_eventstream(None)
    assert error.id == "turnlog.E008"
    assert LOG_CHANNEL_MANAGER in str(error.hint)
    settings.EVENTSTREAM_CHANNELMANAGER_CLASS = LOG_CHANNEL_MANAGER
    assert check_eventstream(None) == []
    assert import_string(LOG_STORAGE)
    assert import_string(LOG_CHANNEL_MANAGER)


def test_pictures_need_pillow_where_people_may_send_files(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls: Any = types.ModuleType("urls_with_files")
    urls.urlpatterns = [path("files/", include("turnlog.consumers.attachments.urls"))]
    monkeypatch.setattr(pictures, "is_available", lambda: False)
    assert check_pictures(None) == []
    settings.ROOT_URLCONF = urls
    [warning] = check_pictures(None)
    assert warning.id == "turnlog.W007"
    monkeypatch.undo()
    assert check_pictures(None) == []
