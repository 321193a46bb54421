"""System checks of the chat: whether the site serves what its page loads."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.staticfiles import finders
from django.core import checks

HTMX = "django_htmx/htmx-2.min.js"


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
