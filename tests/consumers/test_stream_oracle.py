"""The stream's promise, against an oracle: whatever happens, and wherever a connection is cut.

After any reconnect a client has either every event since its id, in order, once, or an explicit
reset. The oracle is the log itself. What happens is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any
from urllib.parse import unquote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from django.core.handlers.asgi import ASGIHandler

from tests.consumers.stream_client import Message, Source, address, cookie_of
from turnlog.consumers.stream import following as streams
from turnlog.consumers.stream import reading, rounds, waking
from turnlog.consumers.stream.cursor import cursor_of
from turnlog.core.asynchronous import in_database_thread
from turnlog.events.models import Actor, Conversation, Event

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.project.review_urls"),
]

STEPS = 30
SECONDS = 20


class World:
    """The conversations, what was erased of them, and whether news of appends gets through."""

    def __init__(self, room: Conversation, people: list[Any], draw: random.Random) -> None:
        self.rooms = [room]
        self.people = people
        self.erased: set[bytes] = set()
        self.lost = False
        self._draw = draw
        self._numbers = itertools.count()
        self._turns: list[tuple[Conversation, Any, bytes]] = []

    def say(self) -> None:
        room, user = self._draw.choice(self.rooms), self._draw.choice(self.people)
        words = f"<{next(self._numbers):07}>" + "x" * self._draw.choice([0, 10, 9_000])
        turn = room.start_turn(words, user=user)
        room.record_turn(words, "Yes.", user=user, turn_id=turn.turn_id)
        self._turns.append((room, turn.turn_id, words[:9].encode()))

    def clear(self) -> None:
        self._draw.choice(self.rooms).clear()

    def erase(self) -> None:
        if self._turns:
            room, turn_id, words = self._turns.pop(self._draw.randrange(len(self._turns)))
            room.erase([turn_id], reason="asked for")
            self.erased.add(words)

    def fork(self) -> None:
        if len(self.rooms) == 1:
            self.rooms.append(self.rooms[0].fork(user=self.people[0]))


class Reader:
    """A client with an EventSource: what it has of each conversation, and since when."""

    def __init__(self, world: World, user: Any, draw: random.Random) -> None:
        self._world = world
        self._user = user
        self._draw = draw
        self._source: Source | None = None
        self._taken = 0
        self._gone: set[bytes] = set()
        self.last_id = ""
        self.since: dict[int, int] = {}
        self.have: dict[int, list[int]] = {}
        self.words: dict[int, set[int]] = {}
        self.resets: list[str] = []

    async def connect(self) -> None:
        await self.leave()
        cut = self._draw.choice([None, None, self._draw.randint(1, 6_000)])
        source = Source(ASGIHandler(), self.last_id, cut)
        # It asks for conversations that are new to it, too: from now on.
        query = address(*self._world.rooms)
        self._gone = set(self._world.erased)
        self._taken = 0
        source.start(query, await cookie_of(self._user), self.last_id)
        self._source = source

    async def leave(self) -> None:
        if self._source is not None:
            self._source.reads.set()
            await self._source.close()
            self.take()
            self._source = None

    def stop_reading(self) -> None:
        if self._source is not None:
            self._source.reads.clear()

    def read_again(self) -> None:
        if self._source is not None:
            self._source.reads.set()

    @property
    def is_connected(self) -> bool:
        return self._source is not None and not self._source.ended

    def take(self) -> None:
        """Take in what has come so far."""
        assert self._source is not None
        for message in self._source.messages[self._taken :]:
            self._take(message)
        self._taken = len(self._source.messages)
        for words in self._gone:
            assert words not in self._source.body, "erased words came out again"

    def _take(self, message: Message) -> None:
        if message.id != "error":
            self.last_id = message.id
        if message.kind == "log":
            event = message.json
            have = self.have[event["conversation"]]
            assert event["version"] > max(have, default=0), "out of order, or twice"
            have.append(event["version"])
            if event["payload"] is not None:
                self.words[event["conversation"]].add(event["version"])
        elif message.kind == "stream-reset":
            pk = int(message.json["channel"].removeprefix("turnlog-"))
            self.resets.append(message.json["reason"])
            self.since[pk], self.have[pk] = self.cursors(message.id)[pk], []
            self.words[pk] = set()
        elif message.kind == "stream-open":
            for pk, cursor in self.cursors(message.id).items():
                self.since.setdefault(pk, cursor)
                self.have.setdefault(pk, [])
                self.words.setdefault(pk, set())

    @staticmethod
    def cursors(last_id: str) -> dict[int, int]:
        found = {}
        for part in filter(None, last_id.split(",")):
            name, _, last = part.rpartition(":")
            pk = int(unquote(name).removeprefix("turnlog-").split(".")[0])
            found[pk] = cursor_of(int(last)).number
        return found


@in_database_thread
def heads(world: World) -> dict[int, int]:
    events = Event.objects.all()
    return {room.pk: events.filter(stream_id=room.pk).count() for room in world.rooms}


@in_database_thread
def seen(pk: int, since: int, user: Any) -> list[int]:
    events = Event.objects.filter(stream_id=pk, version__gt=since)
    if not user.has_perm("turnlog_events.review_conversation"):
        events = events.filter(actor_id=Actor.objects.get(user=user).pk)
    return list(events.order_by("version").values_list("version", flat=True))


@in_database_thread
def erased(pk: int) -> set[int]:
    gone = Event.objects.filter(stream_id=pk, payload=None)
    return set(gone.values_list("version", flat=True))


@pytest.mark.parametrize("seed", range(16))
async def test_a_client_has_every_event_once_and_in_order_or_was_told(
    seed: int,
    conversation: Any,
    user: Any,
    django_user_model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(seed)
    other = await sync_to_async(django_user_model.objects.create_user)("other")
    world = World(conversation, [user, other], draw)
    await in_database_thread(world.say)()
    reviews = await Permission.objects.aget(codename="review_conversation")
    reader_is_owner = seed % 2 == 0
    who = user
    if not reader_is_owner:
        who = await sync_to_async(django_user_model.objects.create_user)("rita")
        await who.user_permissions.aadd(reviews)
    tell = waking._Waker.tell

    def told(self: Any, batch: Any) -> None:
        if not world.lost:  # Otherwise the process ended between its commit and its news.
            tell(self, batch)

    monkeypatch.setattr(waking._Waker, "tell", told)
    monkeypatch.setattr(rounds, "SECONDS", 0.05)
    monkeypatch.setattr(streams, "PAUSE", draw.choice([0.0, 0.02]))
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(reading, "MOST_BEHIND", draw.choice([15, 1_000]))
    reader = Reader(world, who, draw)
    await reader.connect()
    for _step in range(STEPS):
        match draw.choice(["say", "say", "say", "lose", "erase", "clear", "fork", "cut", "slow"]):
            case "lose":
                world.lost = True
                await in_database_thread(world.say)()
                world.lost = False
            case "cut":
                await reader.connect()
            case "slow":
                reader.stop_reading()
            case "erase" | "clear" | "fork" | "say" as what:
                await in_database_thread(getattr(world, what))()
        if draw.random() < 0.3:
            reader.read_again()
        if draw.random() < 0.1 and not reader_is_owner:
            await who.user_permissions.aclear()
            reader.read_again()
            async with asyncio.timeout(SECONDS):
                while reader.is_connected:  # A round finds it out, if no reading does.
                    await asyncio.sleep(0)
            await who.user_permissions.aadd(reviews)
            who = await django_user_model.objects.aget(pk=who.pk)
        if not reader.is_connected:
            await reader.connect()
    async with asyncio.timeout(SECONDS):
        reader.read_again()
        while True:
            if not reader.is_connected:
                await reader.connect()
            reader.take()
            if reader.cursors(reader.last_id) == await heads(world):
                break
            if len(reader.cursors(reader.last_id)) < len(world.rooms):
                await reader.connect()
                await asyncio.sleep(0.1)
    for room in world.rooms:
        expected = await seen(room.pk, reader.since[room.pk], who)
        assert reader.have[room.pk] == expected, (room.pk, reader.since, reader.resets)
        assert not reader.words[room.pk] & await erased(room.pk)
    await reader.leave()
    assert not waking.streams
