"""Real servers, a real model server over HTTP, a real browser; see the modules beside this one."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, expect, sync_playwright

from tests import forked

from . import browser as chromium
from .database import Database, Postgresql, Sqlite, dropped_afterwards
from .model_server import ModelServer, running_model_server
from .npm import NpmNotReachable
from .places import TUTORIAL
from .project import Project, Server, environment
from .scripted_model import ScriptedModel
from .site.rooms import ROOMS

# A machine may be busy: what is expected is waited for longer than playwright's five seconds.
expect.set_options(timeout=30_000)

API_KEY = "sk-recognisable-0123456789abcdef"


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """aimock; tests tell it what to answer to words of their own."""
    if os.environ.get("TURNLOG_WITHOUT_NPM") == "1":
        pytest.skip("TURNLOG_WITHOUT_NPM=1: no model server from npm")
    try:
        with running_model_server(tmp_path_factory.mktemp("aimock")) as server:
            yield server
    except NpmNotReachable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, dict[str, str]]]:
    """The database that each module's is copied from, and the session keys of ada and bob, of
    rita and rob, who review, and of the lead of a queue."""
    with dropped_afterwards(_new_database(tmp_path_factory.mktemp("databases"))) as database:
        given = environment(database.environment)
        done = forked.run("-m", "prepare", folder=TUTORIAL, environment=given)
        if done.returncode:
            pytest.fail(f"the template database could not be made:\n{done.stderr}", pytrace=False)
        yield database, json.loads(done.stdout)


def _new_database(folder: Path) -> Database:
    default = settings.DATABASES["default"]
    if default["ENGINE"].endswith("sqlite3"):
        return Sqlite(folder / "template.sqlite3")
    name = f"turnlog_end_to_end_{os.getpid()}"
    return Postgresql(name, default["USER"], default["HOST"])


@pytest.fixture(scope="session")
def sessions(template: tuple[Database, dict[str, str]]) -> dict[str, str]:
    """Session keys, by the person's name."""
    return template[1]


@pytest.fixture(scope="module")
def database(
    template: tuple[Database, dict[str, str]], request: pytest.FixtureRequest
) -> Iterator[Database]:
    """A fresh one for each module."""
    name = request.module.__name__.rpartition(".")[2]
    with dropped_afterwards(template[0].copy(name)) as database:
        yield database


@pytest.fixture(scope="module")
def project(
    database: Database, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    model = {
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_BASE_URL": model_server.url,
        "OPENAI_MODEL": "gpt-4o-mini",
    }
    return Project(database, tmp_path_factory.mktemp("project"), model)


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    """One server for a module's tests."""
    with project.server() as server:
        yield server


@pytest.fixture(scope="module")
def scripted_model() -> Iterator[ScriptedModel]:
    with ScriptedModel().running() as model:
        yield model


@pytest.fixture(scope="module")
def _numbers() -> Iterator[int]:
    return iter(range(2, ROOMS + 1))


@pytest.fixture
def room(_numbers: Iterator[int]) -> int:
    """The number of a room, and of its conversation, that no other test has been in."""
    return next(_numbers)


@pytest.fixture
def words(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes words that no other test says: by them the model server knows what to answer."""
    numbers = itertools.count(1)
    return lambda: f"{request.node.name} says {next(numbers)}."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. For a module only: a longer one would keep its event loop in everybody's thread."""
    with sync_playwright() as playwright:
        path = chromium.executable(playwright.chromium.executable_path)
        if path is None:
            names = ", ".join(chromium.NAMES)
            missing = f"no Chromium: neither {names} on PATH, nor playwright's own"
            if os.environ.get("TURNLOG_REQUIRE_BROWSER") == "1":
                pytest.fail(f"{missing}, and TURNLOG_REQUIRE_BROWSER=1", pytrace=False)
            pytest.skip(missing)
        launched = playwright.chromium.launch(
            executable_path=path,
            # Nothing leaves this machine.
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        try:
            yield launched
        finally:
            launched.close()
