"""System checks of the chat: whether the site serves what its page needs."""

from __future__ import annotations

import re
import sys
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks
from django.core.management import get_commands
from django.urls import NoReverseMatch, reverse

from .attachments import pictures

HTMX = "django_htmx/htmx-2.min.js"
LOG_STORAGE = "turnlog.consumers.stream.storage.LogStorage"
LOG_CHANNEL_MANAGER = "turnlog.consumers.stream.manager.LogChannelManager"
WITHOUT_WEBSOCKETS = ("django.core", "django.contrib.staticfiles")
"""The apps whose `runserver` serves WSGI."""


def check_htmx(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.W002 if staticfiles does not find the htmx that the chat's page loads."""
    if not apps.is_installed("django.contrib.staticfiles") or finders.find(HTMX):
        return []
    return [
        checks.Warning(
            f"the chat's page loads {HTMX!r}, and staticfiles does not find it",
            hint=(
                "Add 'django_htmx' to INSTALLED_APPS. If your template loads htmx from elsewhere,"
                " add 'turnlog.W002' to SILENCED_SYSTEM_CHECKS."
            ),
            id="turnlog.W002",
        )
    ]


def check_asgi_application(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.W003 if the settings do not name an ASGI application.

    The application is not imported: it brings every consumer with it, and the models' clients.
    """
    named = getattr(settings, "ASGI_APPLICATION", None)
    if isinstance(named, str) and re.fullmatch(r"\w+(\.\w+)+", named):
        return []
    return [
        checks.Warning(
            "the chat's WebSocket routes are in the project's ASGI application, and"
            f" ASGI_APPLICATION does not name one, found {named!r}",
            hint=(
                "Set it, as in ASGI_APPLICATION = 'mysite.asgi.application'. If the project has no"
                " chat, add 'turnlog.W003' to SILENCED_SYSTEM_CHECKS."
            ),
            id="turnlog.W003",
        )
    ]


def check_runserver(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.W004 if this is a `runserver` that has no WebSockets."""
    if sys.argv[1:2] != ["runserver"] or get_commands().get("runserver") not in WITHOUT_WEBSOCKETS:
        return []
    return [
        checks.Warning(
            "this runserver serves WSGI, which has no WebSockets: the chat's page opens, and its"
            " connection does not",
            hint=(
                "Install daphne and put 'daphne' at the top of INSTALLED_APPS, or run an ASGI"
                " server instead, such as uvicorn."
            ),
            id="turnlog.W004",
        )
    ]


def check_pictures(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.W007 if people may send files, and Pillow is not there to read pictures."""
    if getattr(settings, "ROOT_URLCONF", None) is None:
        return []  # A project without pages.
    try:
        reverse("turnlog_files:upload", args=["chat"])
    except NoReverseMatch:
        return []
    if pictures.is_available():
        return []
    return [
        checks.Warning(
            "the project's URLs have turnlog.consumers.attachments.urls, and Pillow is not"
            " installed: people can send files, and no pictures",
            hint=(
                "Install 'django-turnlog[pictures]'. If the chat needs no pictures, add"
                " 'turnlog.W007' to SILENCED_SYSTEM_CHECKS."
            ),
            id="turnlog.W007",
        )
    ]


def check_eventstream(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.E008 if django-eventstream reads the log and does not ask who may."""
    storage = getattr(settings, "EVENTSTREAM_STORAGE_CLASS", None)
    manager = getattr(settings, "EVENTSTREAM_CHANNELMANAGER_CLASS", None)
    if storage != LOG_STORAGE or manager == LOG_CHANNEL_MANAGER:
        return []
    return [
        checks.Error(
            f"EVENTSTREAM_STORAGE_CLASS is {LOG_STORAGE!r}, and EVENTSTREAM_CHANNELMANAGER_CLASS is"
            f" {manager!r}, which does not know who may read a conversation",
            hint=(
                f"Set it to {LOG_CHANNEL_MANAGER!r}, and name your own class in"
                " TURNLOG['EVENTSTREAM_CHANNELMANAGER']."
            ),
            id="turnlog.E008",
        )
    ]
