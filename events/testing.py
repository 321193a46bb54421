"""Lets Django flush a *test* database in spite of the triggers that protect the log.

`TransactionTestCase` and pytest-django's `transaction=True` empty every table after each test,
which the log's triggers refuse. With pytest this module is a plugin and nothing is to be done;
with Django's own runner, set `TEST_RUNNER = "turnlog.events.testing.TurnlogTestRunner"`.
Databases that are not Django's test databases are left alone.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import Any

# django.db.backends.base.creation.TEST_DATABASE_PREFIX, without importing Django.
_TEST_PREFIX = "test_"


def allow_flush() -> None:
    """Suspend the triggers around the flush of TransactionTestCase. May be called twice."""
    from django.db import connections
    from django.test import TransactionTestCase

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

    teardown._turnlog = True  # type: ignore[attr-defined]
    case._fixture_teardown = teardown


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
    from django.apps import apps

    if apps.ready and apps.is_installed("turnlog.events"):
        allow_flush()


def __getattr__(name: str) -> Any:
    # Django's runner is imported only by who asks for it: pytest loads this module everywhere.
    if name != "TurnlogTestRunner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from django.test.runner import DiscoverRunner

    class TurnlogTestRunner(DiscoverRunner):
        """Django's runner, able to flush the log's tables between tests."""

        def setup_test_environment(self, **kwargs: Any) -> None:
            super().setup_test_environment(**kwargs)
            allow_flush()

    return TurnlogTestRunner
