"""A channel layer that hangs, raises, or carries what nobody should send: the chat goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from tests.consumers.test_limits import no_turns
from tests.consumers.test_socket import Client, chat, said, stored, url
from turnlog.consumers import live, telling
from turnlog.consumers.answering import relay, running
from turnlog.consumers.socket import layer_socket
from turnlog.consumers.socket.layer import _members as layer_members
from turnlog.core import retrying
from turnlog.events.models import Conversation

METHODS = ("new_channel", "group_add", "group_send", "group_discard", "receive")


class Layer(InMemoryChannelLayer):
    """A layer that does what a test wants where it is asked for one thing."""

    def __init__(self, method: str = "", trouble: Any = None) -> None:
        super().__init__()
        self.method, self.trouble = method, trouble
        self.asked = 0

    async def _troubled(self, method: str) -> None:
        if method == self.method:
            self.asked += 1
            if self.trouble is not None:
                raise self.trouble
            await asyncio.Event().wait()

    async def new_channel(self, prefix: str = "specific.") -> str:
        await self._troubled("new_channel")
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        await self._troubled("group_add")
        await super().group_add(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._troubled("group_send")
        await super().group_send(group, message)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._troubled("group_discard")
        await super().group_discard(group, channel)

    async def receive(self, channel: str) -> Any:
        await self._troubled("receive")
        return await super().receive(channel)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let all of turnlog use a layer, as if it reached other processes."""
    monkeypatch.setattr(telling, "SEND_SECONDS", 0.01)
    monkeypatch.setattr(retrying, "LAYER_PAUSE", 0.01)
    monkeypatch.setattr(telling, "teller", telling.Teller())

    def use_it(layer: BaseChannelLayer) -> None:
        monkeypatch.setattr(layer_socket, "get_channel_layer", lambda alias: layer)
        for module in (live, relay):
            monkeypatch.setattr(module, "shared_layer", lambda: layer)

    yield use_it
    assert telling.teller.finish(10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trouble", [None, RuntimeError("away")], ids=["hangs", "raises"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_page_opens_and_an_answer_arrives(
    conversation: Any, user: Any, use: Any, method: str, trouble: Any
) -> None:
    layer = Layer(method, trouble)
    use(layer)
    async with Client(chat(["It is ", "42."]), url(conversation), user) as client:
        _, frames = await client.say("What is it?")
    assert said(frames) == "It is 42."
    await no_turns()
    assert layer.asked
    assert not layer_members
    assert not live._listeners
    assert not running._turns


@pytest.mark.django_db(transaction=True)
async def test_a_socket_that_is_cancelled_while_it_joins_leaves_nothing(
    conversation: Any, user: Any, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, joining = Layer(), asyncio.Event()
    use(layer)
    monkeypatch.setattr(telling, "SEND_SECONDS", 60.0)

    async def group_add(group: str, channel: str) -> None:
        await InMemoryChannelLayer.group_add(layer, group, channel)
        joining.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(layer, "group_add", group_add)
    client = Client(chat(), url(conversation), user)
    await client.communicator.send_input({"type": "websocket.connect"})
    await asyncio.wait_for(joining.wait(), 10)
    client.communicator.stop(exceptions=False)
    await asyncio.wait([client.communicator.future])
    assert not layer_members
    assert not layer.groups


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "message",
    [
        {},
        "text",
        {"type": None},
        {"type": "nobody.handles"},
        {"type": "websocket.disconnect"},
        {"type": "websocket.receive", "text": '{"user_text": "not mine"}'},
        {"type": "close"},
        {"type": "can.accept"},
        {"type": "follower"},
        {"type": "_refuse"},
        {"type": "turnlog.news"},
        {"type": "turnlog.news", "version": "9"},
        {"type": "turnlog.news", "version": -1},
        {"type": "turnlog.news", "version": 10**30},
        {"type": "turnlog.progress"},
        {"type": "turnlog.progress", "turn_id": ["x"], "pieces": 7},
        {"type": "turnlog.stop"},
        {"type": "turnlog.unknown"},
    ],
    ids=str,
)
async def test_no_message_of_the_layer_speaks_for_a_person_or_ends_their_socket(
    conversation: Any, user: Any, use: Any, message: Any
) -> None:
    layer = Layer()
    use(layer)
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        for channel in layer.groups[live.group_of(live.place_of(conversation.pk))]:
            layer.channels[channel].put_nowait((1e12, message))
        _, frames = await client.say("What is it?")
    assert said(frames) == "ok"
    assert "not mine" not in str(frames)


@pytest.mark.django_db(transaction=True)
async def test_a_projects_own_messages_reach_its_handler(
    conversation: Any, user: Any, use: Any
) -> None:
    layer, heard = Layer(), asyncio.Event()
    use(layer)

    async def shop_closes(self: Any, event: Any) -> None:
        heard.set()

    async with Client(chat(["ok"], shop_closes=shop_closes), url(conversation), user) as client:
        await client.frame()
        await layer.group_send(
            live.group_of(live.place_of(conversation.pk)), {"type": "shop.closes"}
        )
        await asyncio.wait_for(heard.wait(), 10)


@pytest.mark.django_db(transaction=True)
def test_an_append_never_waits_for_the_layer(conversation: Conversation, use: Any) -> None:
    """Nor does it lose more than what the layer does not take: the newest version arrives."""
    begun, go_on, sent = threading.Event(), threading.Event(), []

    class Slow(Layer):
        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            begun.set()
            go_on.wait(30)
            sent.append(message["version"])

    use(Slow())
    for number in range(5):
        conversation.record_turn(f"question {number}", "answer")
        assert begun.wait(30)
    assert sent == []  # The appends are done, and the first sending is not.
    go_on.set()
    assert telling.teller.finish(10)
    # What was overtaken is not sent.
    assert (len(sent), sent[-1]) == (2, stored(conversation)[-1].version)


@pytest.mark.django_db(transaction=True)
async def test_an_append_within_a_running_event_loop_gets_its_news_out(use: Any) -> None:
    sent = []

    class Told(Layer):
        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            sent.append((group, message))

    use(Told())
    telling.teller.tell(live.shared_layer(), "turnlog.7", 3)
    assert await asyncio.to_thread(telling.teller.finish, 10)
    assert sent == [("turnlog.7", {"type": "turnlog.news", "group": "turnlog.7", "version": 3})]


@pytest.mark.parametrize("trouble", [RuntimeError(), SystemExit(), asyncio.CancelledError()])
def test_news_gets_out_again_whatever_the_layer_raised(use: Any, trouble: BaseException) -> None:
    layer = Layer("group_send", trouble)
    use(layer)
    telling.teller.tell(layer, "one", 1)
    assert telling.teller.finish(10)
    sound, sent = Layer(), []

    async def group_send(group: str, message: dict[str, Any]) -> None:
        sent.append(group)

    sound.group_send = group_send  # type: ignore[method-assign]
    telling.teller.tell(sound, "two", 1)
    assert telling.teller.finish(10)
    assert sent == ["two"]


def test_what_waits_for_a_layer_is_bounded(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_MOST", 3)
    go_on, sent = threading.Event(), []

    class Slow(Layer):
        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            go_on.wait(30)
            sent.append(group)

    layer = Slow()
    for number in range(1_000):
        telling.teller.tell(layer, f"group {number}", 1)
    go_on.set()
    assert telling.teller.finish(10)
    assert len(sent) <= 4


ENDS = """
import asyncio
from django.conf import settings

settings.configure()

from turnlog.consumers import telling

telling.LAST_SECONDS = {seconds}

class Layer:
    async def group_send(self, group, message):
        await {sending}
        print(group, message["version"])

telling.teller.tell(Layer(), "turnlog.7", 3)
"""


@pytest.mark.parametrize(
    ("sending", "seconds", "told"),
    [
        # Addresses are looked up, although no thread can be started any more.
        ('asyncio.get_running_loop().getaddrinfo("localhost", 80)', 60, "turnlog.7 3\n"),
        ("asyncio.Event().wait()", 0, ""),
    ],
    ids=["gets its news out", "waits no longer than it should"],
)
def test_a_process_that_ends_right_after_an_append(sending: str, seconds: int, told: str) -> None:
    code = ENDS.format(sending=sending, seconds=seconds)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, told), ended.stderr
