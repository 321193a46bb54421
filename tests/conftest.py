"""Coroutine tests without pytest-asyncio: it runs the ORM in another thread than the rollback."""

from __future__ import annotations

import gc
import inspect
import os
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from hypothesis import HealthCheck, settings

ON_SQLITE = os.environ.get("TURNLOG_TEST_DATABASE", "sqlite") == "sqlite"

settings.register_profile(
    "turnlog",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    # A law that holds on SQLite is tried on PostgreSQL with fewer examples.
    max_examples=50 if ON_SQLITE else 20,
)
settings.load_profile("turnlog")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    async_to_sync(pyfuncitem.obj)(**{name: pyfuncitem.funcargs[name] for name in names})
    return True


@pytest.fixture(scope="session", autouse=True)
def _empty_quickly() -> None:
    # lazy: Django is set up by now
    from tests.emptied import empty_after_commits

    empty_after_commits()


@pytest.fixture(autouse=True)
def _connections_outlive_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Channels closes "old" connections after each consumer, the test's own among them.
    async def keep(*args: Any, **kwargs: Any) -> None:
        return None

    monkeypatch.setattr("channels.consumer.aclose_old_connections", keep, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What no database has a part in runs once; the second time, nothing is set up for it."""
    if ON_SQLITE:
        return
    once = pytest.mark.skip(reason="independent of the database; runs with SQLite")
    for item in items:
        if item.get_closest_marker("slow_once"):
            item.add_marker(once)


@pytest.fixture(autouse=True)
def _only_this_database(request: pytest.FixtureRequest) -> None:
    for vendor in ("postgresql", "sqlite"):
        if request.node.get_closest_marker(vendor) and connection.vendor != vendor:
            pytest.skip(f"needs {vendor}")


@pytest.fixture
def user(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ada", password="ada")


@pytest.fixture
def conversation(user: Any) -> Any:
    from turnlog.events.models import Conversation

    return Conversation.objects.create(user=user, title="Ordering coffee")


def pytest_collection_finish() -> None:
    """What has been imported stays: the garbage collector need not look at it after each test."""
    gc.collect()
    gc.freeze()
