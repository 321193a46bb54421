"""Tools that wait for a person: on the page, over HTTP, in another process, another day."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessageChunk, ToolMessage

from tests.consumers.http_client import Browser
from tests.consumers.test_http import frames as frames_of
from tests.consumers.test_http import serve  # noqa: F401 - a fixture
from tests.consumers.test_http import url as http_url
from tests.consumers.test_previous_messages import require_prompt_is_what_was_seen
from tests.consumers.test_socket import Client, chat, double, get_stored, said, url
from turnlog.consumers.answering import running
from turnlog.core.asynchronous import in_database_thread
from turnlog.events.models import Conversation
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Usage

pytestmark = pytest.mark.django_db(transaction=True)

made: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


def refund(order: int) -> str:
    """Give an order's money back."""
    made.append(order)
    return f"refunded {order}"


def calls(*named: tuple[str, dict[str, Any]]) -> AIMessageChunk:
    made_ = [
        {"name": name, "args": args, "id": f"call-{number}"}
        for number, (name, args) in enumerate(named)
    ]
    return AIMessageChunk("", tool_calls=made_, chunk_position="last")


ASKED = calls(("refund", {"order": 17}), ("double", {"number": 4}))


def guarded(*replies: Any, **attributes: Any) -> Any:
    given = {"tools": (double, refund), "approve_tools": ["refund"], **attributes}
    return chat(*replies, **given)


def turn_frame(outcome: str) -> Any:
    return lambda frame: frame.get("type") == "turn" and frame["outcome"] == outcome


async def waiting(consumer: Any, conversation: Any, user: Any) -> str:
    """A turn that waits; the page that it began on is closed."""
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
    return turn_id


async def types(conversation: Any) -> list[str]:
    return [event.type for event in await get_stored(conversation)]


async def test_an_approved_call_is_made_and_the_answer_goes_on(
    conversation: Any, user: Any
) -> None:
    consumer = guarded(["Looking.", ASKED], ["It is ", "done."])
    async with Client(consumer, url(conversation), user) as client:
        turn_id, frames = await client.say("Refund 17.")
        assert frames[-1]["outcome"] == "waiting"
        cards = {f["name"]: f for f in frames if f.get("role") == "tool" and "name" in f}
        assert (cards["refund"]["status"], cards["refund"]["decidable"]) == ("waiting", True)
        assert made == []
        assert running.find(url) is None
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        frames = await client.until(turn_frame("completed"))
        assert said(frames).endswith("It is done.")
    assert made == [17]
    # Both calls run at once: either may be the first to end.
    refunds = [frame for frame in frames if frame.get("id") == f"{turn_id}-tool-0"]
    assert refunds[-1]["content"] == "refunded 17"
    assert await types(conversation) == [
        *("ConversationOpened", "TurnStarted", "ToolApprovalRequested", "ToolApprovalDecided"),
        *("TurnResumed", "MessageAppended", "ModelCallRecorded", "ToolOutputRecorded"),
        *("ToolOutputRecorded", "ModelCallRecorded", "MessageAppended"),
    ]
    told = [m.content for m in consumer.model.seen[-1] if isinstance(m, ToolMessage)]
    assert told == ["refunded 17", "8"]
    await require_prompt_is_what_was_seen(consumer, conversation)
    # After a reload, the page is what it was.
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until(turn_frame("completed"))
    assert said(frames) == "Looking.\n\nIt is done."


async def test_a_rejected_call_is_not_made_and_the_model_is_told_why(
    conversation: Any, user: Any
) -> None:
    consumer = guarded([ASKED], ["I may not."])
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(
            type="decide", turn_id=turn_id, call=0, approved=False, reason="It was used."
        )
        frames = await client.until(turn_frame("completed"))
    assert made == []
    [told] = [m for m in consumer.model.seen[-1] if getattr(m, "name", "") == "refund"]
    assert (told.status, told.content[-12:]) == ("error", "It was used.")
    card = [f for f in frames if f.get("id") == f"{turn_id}-tool-0"][-1]
    assert card["status"] == "rejected"
    assert "It was used." in card["content"]
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until(turn_frame("completed"))
    [card] = [f for f in frames if f.get("id") == f"{turn_id}-tool-0"]
    assert card["status"] == "rejected"
    assert "It was used." in card["content"]


async def test_a_decision_of_another_process_wakes_the_page_of_the_one_who_asked(
    conversation: Any, user: Any, django_user_model: Any
) -> None:
    consumer = guarded([ASKED], ["Done."])
    boss = await sync_to_async(django_user_model.objects.create_user)("boss")
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await conversation.adecide_call(uuid.UUID(turn_id), 0, True, by=boss)
        await client.until(turn_frame("completed"))
    assert made == [17]


async def test_a_decision_of_another_day_is_taken_up_when_the_person_is_back(
    conversation: Any, user: Any
) -> None:
    consumer = guarded(["Looking.", ASKED], ["Done."])
    turn_id = await waiting(consumer, conversation, user)
    # Another program, with another model of the tools, and nothing of the first one's memory.
    renamed = guarded(["Done."], tools=(refund,))
    async with Client(renamed, url(conversation), user) as client:
        frames = await client.until(turn_frame("waiting"))
        assert frames[-1]["id"] == turn_id
    await conversation.adecide_call(uuid.UUID(turn_id), 0, True)
    async with Client(renamed, url(conversation), user) as client:
        frames = await client.until(turn_frame("completed"))
    assert made == [17]
    assert said(frames) == "Looking.\n\nDone."
    first = consumer.model.seen[0]
    assert renamed.model.seen[-1][: len(first)] == first
    usage = await sync_to_async(_used)(conversation)
    assert usage == (1, 2)


def _used(conversation: Conversation) -> tuple[int, int]:
    Worker(named(["usage"])).catch_up()
    row = Usage.objects.get(conversation=conversation)
    return row.turns, row.tool_calls


async def test_who_may_not_decide_is_told_so_and_sees_no_buttons(
    conversation: Any, user: Any, django_user_model: Any
) -> None:
    async def can_approve(self: Any, call: Any) -> bool:
        return call.tool != "refund"

    consumer = guarded([ASKED], can_approve=can_approve)
    async with Client(consumer, url(conversation), user) as client:
        turn_id, frames = await client.say("Refund 17.")
        assert not [frame for frame in frames if frame.get("decidable")]
        head = await types(conversation)
        for asked, sentence in (
            ({"call": 0}, "You may not decide about this call."),
            ({"call": 1}, "There is no such call here."),
            ({"call": 0, "turn_id": str(uuid.uuid4())}, "There is no such call here."),
            ({"call": "0"}, "The field call must be the number of a call, from 0 on."),
            ({"call": 0, "approved": "yes"}, "The field approved must be true or false."),
        ):
            given = {"type": "decide", "turn_id": turn_id, "approved": True, **asked}
            await client.send(**given)
            [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
            assert notice["content"] == sentence
        assert await types(conversation) == head
    # In a room of everybody's, another person's call is no call of one's own.
    room = await sync_to_async(Conversation.objects.create)()
    other = await sync_to_async(django_user_model.objects.create_user)("eve")
    turn_id = await waiting(guarded([ASKED]), room, user)
    async with Client(guarded(), url(room), other) as client:
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
        assert notice["content"] == "There is no such call here."
    assert made == []


async def test_stop_and_new_words_end_the_waiting(conversation: Any, user: Any) -> None:
    consumer = guarded([ASKED], [ASKED], ["Fine."])
    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("Refund 17.")
        await client.send(type="stop", turn_id=turn_id)
        frames = await client.until(turn_frame("cancelled"))
        assert [f["status"] for f in frames if f.get("name") == "refund"] == ["stopped"]
        second, _ = await client.say("Refund 17!")
        _, frames = await client.say("Never mind.")
        ended = [f["outcome"] for f in frames if f.get("type") == "turn" and f["id"] == second]
        assert ended[-1] == "cancelled"
    assert made == []


async def test_over_http(serve: Any, conversation: Any, user: Any) -> None:  # noqa: F811
    serve([ASKED], ["Done."], tools=(double, refund), approve_tools=["refund"])
    browser = Browser(user)
    address = http_url(conversation)
    async with browser.stream(address) as opened:
        turn_id, _ = await browser.say(address, "Refund 17.")
        await opened.until(lambda event: '"waiting"' in event.get("data", ""))
        for status, sentence in ((202, ""), (409, "decided")):
            answer = await browser.post(address, {**DECISION, "turn_id": turn_id})
            assert answer.status == status
            assert sentence in await answer.body()
        events = await opened.until(lambda event: '"completed"' in event.get("data", ""))
    assert said(frames_of(events)) == "Done."
    assert made == [17]


DECISION = {"type": "decide", "call": 0, "approved": True}


@pytest.mark.parametrize(
    "error",
    [
        LookupError("the rules are away"),
        SystemExit(3),
        asyncio.CancelledError(),
        BaseExceptionGroup("all", [KeyboardInterrupt()]),
    ],
    ids=repr,
)
async def test_what_approve_tools_says_is_checked_and_fails_to_the_safe_side(
    conversation: Any, user: Any, error: BaseException
) -> None:
    def ask(self: Any, tool: str, args: Any) -> bool:
        raise error

    consumer = guarded([ASKED], ["Done."], approve_tools=ask)
    async with Client(consumer, url(conversation), user) as client:
        turn_id, frames = await client.say("Refund 17.")
        waits = [f["name"] for f in frames if f.get("status") == "waiting"]
        assert sorted(waits) == ["double", "refund"]
        await client.send(type="stop", turn_id=turn_id)
        await client.until(turn_frame("cancelled"))
    for wrong in (["refnud"], "refund"):
        async with Client(guarded([ASKED], approve_tools=wrong), url(conversation), user) as client:
            await client.until(turn_frame("cancelled"))
            _, frames = await client.say("Refund 17.")
            assert frames[-1]["outcome"] == "failed"
    assert made == []


async def test_a_chat_without_a_record_has_nothing_to_wait_in(user: Any) -> None:
    consumer = guarded([ASKED], ["I cannot."])
    async with Client(consumer, "/ws/chat/?format=json", user) as client:
        _, frames = await client.say("Refund 17.")
        assert frames[-1]["outcome"] == "completed"
    assert made == []
    told = [m.content for m in consumer.model.seen[-1] if isinstance(m, ToolMessage)]
    assert "no record" in told[0]


@in_database_thread
def _erase(conversation: Any, turn_id: str) -> None:
    conversation.erase([turn_id], reason="request 7")


async def test_an_erased_turn_is_not_decided(conversation: Any, user: Any) -> None:
    consumer = guarded([ASKED])
    turn_id = await waiting(consumer, conversation, user)
    await _erase(conversation, turn_id)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
    assert notice["content"] == "This turn was erased: nothing was decided."
