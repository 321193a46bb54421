"""Lets Django flush a *test* database despite the triggers that protect the log.

`TransactionTestCase` and pytest-django's `transaction=True` empty every table after each test,
which the log's triggers refuse. With pytest, this module is a plugin that needs no setup. With
Django's own runner, set `TEST_RUNNER = "turnlog.events.testing.TurnlogTestRunner"`. Databases that
are not Django's test databases stay protected.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import Any

# django.db.backends.base.creation.TEST_DATABASE_PREFIX, without importing Django.
_TEST_PREFIX = "test_"


def allow_flush() -> None:
    """Suspend the triggers around the flush of TransactionTestCase. May be called twice."""
    # lazy: pytest loads this module in every project, in those without Django too
    from django.db import connections
    from django.test import TransactionTestCase

    # lazy: as above
    from .store.append_only import triggers_suspended
    from .tables.event import Event

    case: Any = TransactionTestCase  # Django's stubs leave out what is not public.
    original = case._fixture_teardown
    if hasattr(original, "_turnlog"):
        return

    @functools.wraps(original)
    def teardown(self: Any) -> None:
        with ExitStack() as stack:
            for alias in self._databases_names(include_mirrors=False):
                connection = connections[alias]
                tables = connection.introspection.table_names()
                if _is_test_database(connection) and Event._meta.db_table in tables:
                    stack.enter_context(triggers_suspended(connection))
            original(self)

    # A mark: any function takes an attribute.
    teardown._turnlog = True  # type: ignore[attr-defined]
    case._fixture_teardown = teardown
    _let_go_before_dropping()


def _let_go_before_dropping() -> None:
    """PostgreSQL drops no database that is in use: the threads' connections go before it."""
    # lazy: as above
    from django.db.backends.base.creation import BaseDatabaseCreation

    # lazy: as above
    from ..core.asynchronous import close_connections

    original = BaseDatabaseCreation.destroy_test_db

    @functools.wraps(original)
    def destroy(self: Any, *args: Any, **kwargs: Any) -> Any:
        close_connections()
        return original(self, *args, **kwargs)

    # Replaced for all databases; Django has no hook there.
    BaseDatabaseCreation.destroy_test_db = destroy  # type: ignore[method-assign]


def _is_test_database(connection: Any) -> bool:
    name = str(connection.settings_dict["NAME"])
    # Parallel runs append a suffix to the name.
    given = connection.settings_dict["TEST"].get("NAME")
    if given:
        stem = str(given).removesuffix(".sqlite3")
        return name == str(given) or name.startswith(f"{stem}_")
    return name.startswith(_TEST_PREFIX) or "mode=memory" in name or name == ":memory:"


def pytest_configure(config: Any) -> None:
    """pytest's hook: patch once Django is configured, if this project uses Django at all."""
    # lazy: as above
    from django.apps import apps

    if apps.ready and apps.is_installed("turnlog.events"):
        allow_flush()


def __getattr__(name: str) -> Any:
    if name != "TurnlogTestRunner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # lazy: as above
    from django.test.runner import DiscoverRunner

    class TurnlogTestRunner(DiscoverRunner):
        """Django's runner, able to flush the log's tables between tests."""

        def setup_test_environment(self, **kwargs: Any) -> None:
            super().setup_test_environment(**kwargs)
            allow_flush()

    return TurnlogTestRunner
