"""System checks of the kernel: the settings, and a database that turnlog supports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from . import conf
from .errors import ConfigurationError

SUPPORTED_VENDORS = {"postgresql", "sqlite"}


def check_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.E001: TURNLOG has an unknown key or a value that cannot be used."""
    problems = conf.problems(getattr(settings, "TURNLOG", {})) or list(_missing_functions())
    return [checks.Error(problem, id="turnlog.E001") for problem in problems]


def _missing_functions() -> Iterator[str]:
    for key in conf.FUNCTIONS:
        try:
            conf.function(key)
        except ConfigurationError as error:
            yield str(error)


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
            hint="Use one of the two for this alias, or let your database router send the users and"
            " turnlog's apps to another alias, all of them to the same one.",
            id="turnlog.E002",
        )
        for alias in databases or ()
        if _holds_the_log(connections[alias]) and connections[alias].vendor not in SUPPORTED_VENDORS
    ]


def check_one_database(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.E007: the users are in another database than the log, or parts of the log are."""
    models = [get_user_model(), *(each for each in apps.get_models() if _is_ours(each))]
    used: dict[str, list[str]] = {}
    for model in models:
        used.setdefault(router.db_for_write(model), []).append(model._meta.label)
    if len(used) == 1:
        return []
    found = "; ".join(f"{alias!r} for {', '.join(labels)}" for alias, labels in used.items())
    return [
        checks.Error(
            "turnlog's tables refer to the users and to each other, so all of them have to be in"
            f" one database, but the database routers write to {found}",
            hint="Let your database router send turnlog's apps where the users are.",
            id="turnlog.E007",
        )
    ]


def _is_ours(model: type[Model]) -> bool:
    return model._meta.app_label.startswith("turnlog_")


def _holds_the_log(connection: BaseDatabaseWrapper) -> bool:
    return router.allow_migrate(connection.alias, "turnlog_events")
