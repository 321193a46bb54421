"""Many streams on a real server: what each of them costs, and that each is woken."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .database import Database
from .project import Project, Server
from .test_review_live import say

STREAMS = 500
THREADS = 40
"""A server's own, turnlog's, and the pool's of connections: not one for each stream."""
CONNECTIONS = 16
"""As many as turnlog has threads, and a few of the server's own."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(server: Server, session: str, channel: str) -> Connection:
    """A stream that has begun, and its writer, without which it is closed."""
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"GET /live/?channel={channel}&form=versions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Cookie: sessionid={session}\r\n\r\n".encode()
    )
    await until(reader, b"event: stream-open")
    return reader, writer


async def until(reader: asyncio.StreamReader, text: bytes) -> None:
    async with asyncio.timeout(60):
        await reader.readuntil(text)


def threads_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("Threads:")[1].split()[0])


def connections_of(database: Database) -> int:
    [(count,)] = database.rows(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(count)


@pytest.mark.postgresql
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts threads as Linux does")
async def test_an_idle_stream_holds_no_thread_and_no_connection(
    server: Server,
    project: Project,
    database: Database,
    sessions: dict[str, str],
    room: int,
) -> None:
    kinds = [("rita", f"turnlog-{room}"), ("ada", "turnlog-list"), ("bob", "turnlog-list")]
    streams = []
    for number in range(STREAMS):
        who, channel = kinds[number % len(kinds)]
        streams.append(await opened(server, sessions[who], channel))
    assert server.pid is not None
    assert threads_of(server.pid) <= THREADS
    assert connections_of(database) <= CONNECTIONS
    # They are all there, and the server has connections for others.
    await asyncio.to_thread(say, project, room, "Who is there?")
    await asyncio.gather(*(until(reader, b"event: version") for reader, _ in streams[::3]))
    assert threads_of(server.pid) <= THREADS
    assert connections_of(database) <= CONNECTIONS
    for _, writer in streams:
        writer.close()


async def test_a_server_that_is_told_to_stop_ends_its_streams(
    project: Project, sessions: dict[str, str], room: int
) -> None:
    with project.server() as server:
        reader, writer = await opened(server, sessions["rita"], f"turnlog-{room}")
        await asyncio.to_thread(server.terminate)
        async with asyncio.timeout(60):
            # The whole answer, not a connection that was cut.
            assert (await reader.read()).endswith(b"\r\n0\r\n\r\n")
        writer.close()
    assert "graceful shutdown exceeded" not in server.log


ALL_REVIEW = """
from django.contrib.auth.models import Permission, User
review = Permission.objects.get(codename="review_conversation")
for user in User.objects.all():
    user.user_permissions.add(review)
"""


class Reader:
    """A client of the conversation's events: what it has, and the id to go on from."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._id = ""
        self.versions: list[int] = []

    async def read(self, server: Server, room: int, until: int) -> None:
        """Read until the client has a version, or the server is gone."""
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        known = f"Last-Event-ID: {self._id}\r\n" if self._id else ""
        writer.write(
            f"GET /live/?channel=turnlog-{room} HTTP/1.1\r\nHost: {parts.netloc}\r\n{known}"
            f"Cookie: sessionid={self._session}\r\n\r\n".encode()
        )
        try:
            async with asyncio.timeout(60):
                while not self.versions or self.versions[-1] < until:
                    self._take((await reader.readline()).decode().strip())
        finally:
            writer.close()

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self._id = value
        elif name == "event":
            assert value in ("stream-open", "log", "keep-alive"), value
        elif name == "data" and value.startswith("{"):
            self.versions.append(json.loads(value)["version"])


@pytest.mark.postgresql
async def test_after_a_restart_500_have_every_event_once(
    project: Project, sessions: dict[str, str], database: Database, room: int
) -> None:
    """They come back all at once; browsers would come one after the other."""
    project.manage("shell", "-c", ALL_REVIEW)

    def head() -> int:
        query = f"SELECT max(version) FROM turnlog_event WHERE stream_id = {room}"
        [(version,)] = database.rows(query)
        return int(version)

    names = ("rita", "bob", "ada")  # One person alone may not have as many.
    readers = [Reader(sessions[names[number % 3]]) for number in range(STREAMS)]
    with project.server() as server:
        begun = head()
        wanted = asyncio.gather(*(each.read(server, room, begun + 1) for each in readers))
        while not all(each._id for each in readers):
            await asyncio.sleep(0.05)
        await asyncio.to_thread(say, project, room, "Who is there?")
        await wanted
        await asyncio.to_thread(server.kill)
        for words in ("One", "Two", "Three"):
            await asyncio.to_thread(say, project, room, words)
        last = head()
        await asyncio.to_thread(server.start)
        await asyncio.gather(*(each.read(server, room, last) for each in readers))
    for each in readers:
        assert each.versions == list(range(begun + 1, last + 1))
