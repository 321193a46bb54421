"""Settings that projects have: with each, all that turnlog does works in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests import forked
from tests.built_wheel import ROOT

pytestmark = pytest.mark.slow

ANY: dict[str, dict[str, Any]] = {
    "as it is": {},
    "another time zone": {"TIME_ZONE": "America/St_Johns"},
    "another language": {"LANGUAGE_CODE": "de", "USE_THOUSAND_SEPARATOR": True},
    "BigAutoField": {"DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField"},
    "connections that are kept": {"database": {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}},
    "connections that last for ever": {"database": {"CONN_MAX_AGE": None}},
    "users with an e-mail and a UUID": {"AUTH_USER_MODEL": "people.EmailUser"},
    "users with a number and a team": {"AUTH_USER_MODEL": "people.NumberedUser"},
    "a transaction around each request": {"database": {"ATOMIC_REQUESTS": True}},
    "users whose key is a text": {"AUTH_USER_MODEL": "people.KeyedUser"},
}
SQLITE: dict[str, dict[str, Any]] = {
    "no WAL": {"database": {"OPTIONS": {"init_command": ""}}},
    "immediate transactions": {"database": {"OPTIONS": {"transaction_mode": "IMMEDIATE"}}},
}
POSTGRESQL: dict[str, dict[str, Any]] = {
    "a pool": {"database": {"OPTIONS": {"pool": True}}},
    "no server-side cursors": {"database": {"DISABLE_SERVER_SIDE_CURSORS": True}},
    "no autocommit": {"database": {"AUTOCOMMIT": False}},
    "server-side binding": {"database": {"OPTIONS": {"server_side_binding": True}}},
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The name of an empty database."""
    if connection.vendor == "sqlite":
        yield str(tmp_path / "log.sqlite3")
        return
    name = f"turnlog_supported_{uuid.uuid4().hex[:10]}"
    info = settings.DATABASES["default"]
    server = {"user": info["USER"], "host": info["HOST"], "dbname": "postgres"}
    with psycopg.connect(**server, autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield name
        finally:
            maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run(
    database: str, given: dict[str, Any], *options: str, script: str = "scenario"
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.supported.settings",
        "TURNLOG_TEST_NAME": database,
        "TURNLOG_TEST_SETTINGS": json.dumps(given),
    }
    module = f"tests.supported.{script}"
    return forked.run(*options, "-m", module, folder=ROOT, environment=environment)


def works(database: str, given: dict[str, Any], *options: str, script: str = "scenario") -> None:
    done = run(database, given, *options, script=script)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# What both databases have a part in; what Django does by itself is tried on one of them.
BOTH = ("as it is", "connections that are kept", "a transaction around each request")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(given, id=name, marks=() if name in BOTH else pytest.mark.slow_once)
        for name, given in ANY.items()
    ],
)
def test_settings_of_any_project(database: str, given: dict[str, Any]) -> None:
    works(database, given)


@pytest.mark.sqlite
@pytest.mark.parametrize("given", SQLITE.values(), ids=SQLITE)
def test_settings_of_sqlite(database: str, given: dict[str, Any]) -> None:
    works(database, given)


@pytest.mark.postgresql
@pytest.mark.parametrize("given", POSTGRESQL.values(), ids=POSTGRESQL)
def test_settings_of_postgresql(database: str, given: dict[str, Any]) -> None:
    works(database, given)


TENANTS: dict[str, dict[str, Any]] = {
    "chosen by a context variable": {"database": {"ENGINE": "tests.supported.schemas"}},
    "of django-tenants": {
        "database": {"ENGINE": "django_tenants.postgresql_backend"},
        "TURNLOG": {"AROUND_DATABASE": "tests.supported.schemas.around"},
    },
}


@pytest.mark.postgresql
@pytest.mark.parametrize("given", TENANTS.values(), ids=TENANTS)
def test_tenants_with_a_schema_each(database: str, given: dict[str, Any]) -> None:
    turnlog = {"TENANT": "tests.supported.schemas.current", **given.get("TURNLOG", {})}
    works(database, {**given, "TURNLOG": turnlog}, script="tenants")


@pytest.mark.parametrize("option", ["-O", "-Werror"])
def test_without_asserts_and_with_warnings_as_errors(database: str, option: str) -> None:
    works(database, {}, option)


def test_times_without_zones_are_refused(database: str) -> None:
    done = run(database, {"USE_TZ": False})
    assert done.returncode == 1
    assert "turnlog.E004" in done.stderr
