"""Starts a model server and a server of one process, and lets the crowd talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection

from turnlog.events.models import Conversation

from ...end_to_end.places import free_port, wait_for_port
from . import clients

RATE = 40.0
TOKENS = 200
PEOPLE = 20
IDLE = 1000


def added_delay(user: Any) -> float:
    """Milliseconds, at the 99th percentile, that turnlog adds to the barest consumer's."""
    bare, ours = _talked(PEOPLE, RATE)
    return _percentile(ours, 99) - _percentile(bare, 99)


def added_before_the_first_word(user: Any) -> float:
    """Milliseconds, the median, from the model's first token to the client, beyond the barest's."""
    bare, ours = _talked(10, RATE)
    return statistics.median(each[0] for each in ours) - statistics.median(each[0] for each in bare)


def idle_kilobytes(user: Any) -> float:
    """Kilobytes that an idle client costs beyond one of Channels' own echo consumer."""
    people = _people(IDLE)
    sessions = [person.session for person in people]
    found = []
    for paths in (["echo/"] * IDLE, [person.path for person in people]):
        with _model(RATE) as model, _server(CROWD_MODEL=model) as (url, process):
            urls = [url + path for path in paths]
            # What the first ones need, the process keeps.
            asyncio.run(_grown(urls[:20], sessions[:20], process))
            found.append(asyncio.run(_grown(urls, sessions, process)))
    echo, chat = found
    return (chat - echo) / IDLE / 1000


class _Person:
    def __init__(self, user: Any) -> None:
        room = Conversation.objects.create(user=user)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        self.path = f"chat/{room.pk}/?format=json"
        self.session = str(session.session_key)


def _people(count: int) -> list[_Person]:
    users = get_user_model().objects
    return [_Person(users.get_or_create(username=f"crowd-{number}")[0]) for number in range(count)]


def _talked(count: int, rate: float) -> tuple[list[clients.Delays], list[clients.Delays]]:
    """Delays of the barest consumer's clients and of turnlog's, one crowd after the other."""
    first, *people = _people(count + 1)
    sessions = [person.session for person in people]
    found = []
    for asking, own, paths in (
        (clients.ask_bare, "bare/", ["bare/"] * count),
        (clients.ask, first.path, [person.path for person in people]),
    ):
        with _model(rate) as model, _server(CROWD_MODEL=model) as (url, _):
            # What is imported on first use.
            asyncio.run(clients.crowd(asking, [url + own], [first.session], TOKENS, 0))
            urls = [url + path for path in paths]
            found.append(asyncio.run(clients.crowd(asking, urls, sessions, TOKENS, TOKENS / rate)))
    return found[0], found[1]


def _percentile(delays: list[clients.Delays], percent: int) -> float:
    return statistics.quantiles((d for each in delays for d in each), n=100)[percent - 1]


async def _grown(urls: list[str], sessions: list[str], process: subprocess.Popen[bytes]) -> int:
    """Bytes by which a server grows while these are connected."""
    before = _memory(process)
    async with clients.idle(urls, sessions):
        return _memory(process) - before


def _memory(process: subprocess.Popen[bytes]) -> int:
    """Bytes that a process has in memory."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def _model(rate: float) -> Iterator[str]:
    port = free_port()
    command = ["-m", "tests.benchmarks.crowd.model", str(port), str(TOKENS), str(rate)]
    with _running(command, port):
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def _server(**environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [
        *("-m", "uvicorn", "tests.benchmarks.crowd.site:application", "--port", str(port)),
        *("--log-level", "warning", "--ws-per-message-deflate", "false"),
        *("--timeout-graceful-shutdown", "3"),
    ]
    given = {"TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"]), **environment}
    with _running(command, port, **given) as process:
        yield f"ws://127.0.0.1:{port}/", process


@contextlib.contextmanager
def _running(
    command: list[str], port: int, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **environment})
    try:
        if not wait_for_port(port, lambda: process.poll() is None):
            raise RuntimeError(f"{command} did not start")
        yield process
    finally:
        process.terminate()
        process.wait(30)
