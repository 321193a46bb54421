"""A turn of which all calls are decided goes on, or ends: it is never left open."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.db import OperationalError

from tests.consumers.test_approval import (
    ASKED,
    calls,
    double,
    guarded,
    made,
    turn_frame,
    types,
    waiting,
)
from tests.consumers.test_branches_shown import ends
from tests.consumers.test_limits import begin, no_turns, open_chat
from tests.consumers.test_socket import Client, said, url
from turnlog.consumers import live
from turnlog.consumers.answering import resuming, tasks
from turnlog.consumers.socket import going_on, limits
from turnlog.events import approvals
from turnlog.events.models import Conversation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


def is_notice(frame: Any) -> bool:
    return bool(frame.get("type") == "notice")


async def test_a_hook_that_raises_leaves_the_turn_waiting(conversation: Any, user: Any) -> None:
    def raises(self: Any) -> bool:
        # The page itself asks before; so only where the turn is to go on.
        if broken:
            raise ZeroDivisionError("a project's own")
        return True

    broken: list[int] = []
    consumer = guarded([ASKED], ["Done."], get_show_initial_prompt=raises)
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        broken.append(1)
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        [*_, notice] = await client.until(is_notice)
        assert notice["content"] == "This could not be done. Try again in a moment."
        await no_turns()
    assert (await types(conversation))[-1] == "ToolApprovalDecided"
    broken.clear()
    async with Client(consumer, url(conversation), user) as client:
        await client.until(turn_frame("completed"))
    assert made == [17]


def cards(frames: list[Any]) -> dict[str, dict[str, Any]]:
    """The tools' cards, as a client has them after these frames."""
    shown: dict[str, dict[str, Any]] = {}
    for frame in frames:
        if frame.get("role") == "tool":
            before = shown.get(frame["id"], {}) if frame["mode"] == "append" else {}
            kept = {name: frame[name] for name in ("name", "input", "status") if name in frame}
            content = before.get("content", "") + frame["content"]
            shown[frame["id"]] = {**before, **kept, "content": content}
    return shown


class Slow:
    """A tool whose call a test lets end."""

    def __init__(self) -> None:
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def refund(self, order: int) -> str:
        """Give money back."""
        self.begun.set()
        await self.gate.wait()
        return f"refunded {order}"


async def test_whoever_comes_while_an_approved_call_is_made_sees_it_once(
    conversation: Any, user: Any
) -> None:
    slow = Slow()
    consumer = guarded([ASKED], ["Done."], tools=(double, slow.refund))
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        await slow.begun.wait()
        async with Client(consumer, url(conversation), user) as other:
            seen = await other.until(turn_frame("open"))
            tools = [frame for frame in seen if frame.get("name") == "refund"]
            assert [frame.get("status") for frame in tools] == [None], "it is being made"
            slow.gate.set()
            seen += await other.until(turn_frame("completed"))
    async with Client(consumer, url(conversation), user) as later:
        assert cards(seen) == cards(await later.until(turn_frame("completed")))


async def test_a_client_that_missed_the_waiting_lacks_nothing(conversation: Any, user: Any) -> None:
    slow, gate = Slow(), asyncio.Event()
    first = calls(("double", {"number": 1}), ("double", {"number": 2}))
    consumer = guarded(
        [first], ["Now ", ASKED], ["Done."], gates={1: gate}, tools=(double, slow.refund)
    )
    async with Client(consumer, url(conversation), user) as late:
        await late.frame()
        [listener] = live._listeners[live.place_of(conversation.pk)]
        async with Client(consumer, url(conversation), user) as client:
            await client.frame()
            turn_id = str(uuid.uuid4())
            await client.send(user_text="Refund 17.", turn_id=turn_id)
            seen = await late.until(lambda frame: frame.get("content") == "Now ")
            # It hears nothing while a call is asked for, approved and begun.
            with pytest.MonkeyPatch.context() as deaf:
                deaf.setattr(listener, "wake", lambda **news: None)
                deaf.setattr(listener, "tell", lambda batch: None)
                gate.set()
                await client.until(turn_frame("waiting"))
                await client.send(type="decide", turn_id=turn_id, call=2, approved=True)
                await slow.begun.wait()
            listener.wake(log_changed=True)
            seen += await late.until(lambda frame: frame.get("name") == "refund")
            slow.gate.set()
            seen += await late.until(turn_frame("completed"))
    async with Client(consumer, url(conversation), user) as later:
        whole = await later.until(turn_frame("completed"))
    assert cards(seen) == cards(whole)
    assert said(seen) == said(whole)


@pytest.mark.parametrize("error", [ValueError, OperationalError])
async def test_what_fails_once_it_goes_on_ends_the_turn(
    error: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise error("about what was asked")

    monkeypatch.setattr(resuming, "_answer_of", fail)
    consumer = guarded([ASKED], ["Hello."])
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        frames = await client.until(turn_frame("failed"))
        assert frames[-1]["error"]
        await client.say("Hello?")  # The conversation is not blocked.
    assert made == []


async def test_a_lost_reply_ends_the_turn(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = approvals.resume

    def resume(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(approvals, "resume", resume)
    consumer = guarded([ASKED], ["Hello."])
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        frames = await client.until(turn_frame("failed"))
        assert frames[-1]["error"]
        await client.say("Hello?")
    assert made == []


async def test_a_turn_goes_on_when_there_is_room_again(
    conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_TURNS_PER_USER": 1}
    gate = asyncio.Event()
    slow, consumer = open_chat(["ok"], gates={0: gate}), guarded([ASKED], ["Done."])
    other = await Conversation.objects.acreate()
    turn_id = await waiting(consumer, conversation, user)
    await no_turns()
    async with (
        Client(slow, url(other), user) as one,
        Client(consumer, url(conversation), user) as two,
    ):
        await begin(one)
        await two.until(turn_frame("waiting"))
        await two.send(type="decide", turn_id=turn_id, call=0, approved=True)
        [*_, notice] = await two.until(is_notice)
        assert notice["content"] == "You have too many answers under way: wait for one of them."
        assert made == []
        gate.set()
        await two.until(turn_frame("completed"))
        await one.until_ended()
    assert made == [17]
    await no_turns()
    assert not going_on._later
    assert not limits._shares


async def test_a_first_turn_that_has_waited_names_its_conversation(user: Any) -> None:
    conversation = await Conversation.objects.acreate(user=user)
    consumer = guarded([ASKED], ["Done."], name_conversations="words")
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        await client.until(turn_frame("completed"))
        while pending := {*tasks.turns, *tasks.naming}:
            await asyncio.wait(pending)
    named = await Conversation.objects.aget(pk=conversation.pk)
    assert named.title == "Refund 17."


async def test_no_branch_is_chosen_while_a_turn_waits(conversation: Any, user: Any) -> None:
    consumer = guarded(["One."], ["Two."], [ASKED], ["Done."])
    async with Client(consumer, url(conversation), user) as client:
        first, _ = await client.say("Say a number.")
        again = str(uuid.uuid4())
        await client.send(type="again", turn_id=again, instead_of=first)
        await client.until(ends(again))
        waits, _ = await client.say("Refund 17.")
        await client.send(type="choose", turn_id=first)
        [*_, notice] = await client.until(is_notice)
        assert notice["content"] == "Another answer is still being written: wait for it."
        await client.send(type="decide", turn_id=waits, call=0, approved=False)
        await client.until(lambda f: ends(waits)(f) and f["outcome"] == "completed")
        await no_turns()
        await client.send(type="choose", turn_id=first)
        await client.until(ends(first))
