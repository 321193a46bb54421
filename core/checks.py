"""System checks of the kernel: the settings, and a database that turnlog supports."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from . import conf

SUPPORTED_VENDORS = {"postgresql", "sqlite"}


def check_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.E001: TURNLOG has an unknown key or a value that cannot be used."""
    return [
        checks.Error(problem, id="turnlog.E001")
        for problem in conf.problems(getattr(settings, "TURNLOG", {}))
    ]


def check_time_zones(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.E004: times without a zone cannot be ordered or hashed."""
    if settings.USE_TZ:
        return []
    return [checks.Error("turnlog needs USE_TZ = True in the settings", id="turnlog.E004")]


def check_database(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """turnlog.E002: the log's database is neither PostgreSQL nor SQLite."""
    return [
        checks.Error(
            f"turnlog keeps its log in PostgreSQL or SQLite, but database {alias!r} is"
            f" {connections[alias].vendor}",
            hint="Use one of the two for this alias, or route turnlog's apps to another alias.",
            id="turnlog.E002",
        )
        for alias in databases or ()
        if _holds_the_log(connections[alias]) and connections[alias].vendor not in SUPPORTED_VENDORS
    ]


def _holds_the_log(connection: BaseDatabaseWrapper) -> bool:
    return router.allow_migrate(connection.alias, "turnlog_events")
