"""Nobody approves a call on a page that does not show all that it would be made with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.template.loader import render_to_string

from tests.consumers.test_approval import calls, guarded, made, refund, turn_frame, waiting
from tests.consumers.test_review_acts import client_with
from tests.consumers.test_socket import Client, get_stored, url
from turnlog.consumers.page import asked
from turnlog.consumers.page.asked import MOST
from turnlog.consumers.page.turn_view import TurnView, view_of
from turnlog.core.errors import CodecError
from turnlog.events.models import Conversation
from turnlog.projections import blobs
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


def told(to: str, text: str) -> str:
    """Send an e-mail."""
    made.append(len(text))
    return "sent"


def look(number: int) -> str:
    """Return whatever somebody else wrote."""
    return "hostile " * 5_000


def mail(text: str, **more: Any) -> Any:
    return calls(("told", {"text": text, "to": "mallory@example.org", **more}))


def view_in(conversation: Any, user: Any) -> TurnView:
    [turn] = read_transcript(conversation.pk, user, limit=10).turns
    return view_of(turn, show_initial_prompt=True)


async def card_of(client: Client, turn_id: str, number: int) -> dict[str, Any]:
    frames = await client.until(turn_frame("waiting"))
    return [f for f in frames if f.get("id") == f"{turn_id}-tool-{number}"][-1]


GUARDED = {"tools": (look, told, refund), "approve_tools": ["told"]}


async def test_what_tools_said_before_takes_no_room_from_a_call_that_waits(
    conversation: Any, user: Any
) -> None:
    looks = calls(("look", {"number": 1}), ("look", {"number": 2}), ("look", {"number": 3}))
    asks = mail("Dear reader, " * 100)
    consumer = guarded([looks], [asks], **GUARDED)
    turn_id = await waiting(consumer, conversation, user)
    async with Client(consumer, url(conversation), user) as client:
        card = await card_of(client, turn_id, 3)
    assert card["name"] == "told"
    assert json.loads(card["input"]) == asks.tool_calls[0]["args"]
    assert card["decidable"]
    assert "missing" not in card


@pytest.mark.parametrize("size", [30_000, 70_000, 99_000])
async def test_a_long_argument_is_shown_whole_and_approved(
    size: int, conversation: Any, user: Any
) -> None:
    text = "가" * (size // 2) + "z" * (size // 2)
    consumer = guarded([mail(text)], ["Done."], **GUARDED)
    turn_id = await waiting(consumer, conversation, user)
    async with Client(consumer, url(conversation), user) as client:
        card = await card_of(client, turn_id, 0)
        assert json.loads(card["input"]) == {"text": text, "to": "mallory@example.org"}
        assert "missing" not in card
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        await client.until(turn_frame("completed"))
    assert made[-1:] == [len(text)]


@pytest.mark.parametrize("size", [MOST, 1_100_000])
async def test_what_is_longer_is_not_approved_here_but_rejected(
    size: int, conversation: Any, user: Any
) -> None:
    consumer = guarded([mail("z" * size)], ["I may not."], **GUARDED)
    turn_id = await waiting(consumer, conversation, user)
    async with Client(consumer, url(conversation), user) as client:
        card = await card_of(client, turn_id, 0)
        assert card["decidable"]
        assert 0 < card["missing"] <= size
        await client.send(type="decide", turn_id=turn_id, call=0, approved=True)
        [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
        assert notice["content"].startswith("This call cannot be approved here: ")
        assert "ToolApprovalDecided" not in [e.type for e in await get_stored(conversation)]
        view = await sync_to_async(view_in)(conversation, user)
        view.let_decide(0)
        page = await sync_to_async(render_to_string)(
            "turnlog/frames/turn.html", {"turn": view, "cursor": None}
        )
        assert 'data-action="reject"' in page
        assert 'data-action="approve"' not in page
        assert "characters of its input are not shown" in page
        await client.send(type="decide", turn_id=turn_id, call=0, approved=False)
        await client.until(turn_frame("completed"))
    assert made == []


async def test_what_cannot_be_read_is_not_approved(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(text: str) -> Any:
        raise CodecError("the blob is not there")

    consumer = guarded([mail("z " * 35_000)], **GUARDED)
    await waiting(consumer, conversation, user)
    monkeypatch.setattr(blobs, "read", read)
    view = await sync_to_async(view_in)(conversation, user)
    [card] = [piece for piece in view.pieces if piece.get("status") == "waiting"]
    assert card["missing"] == 70_000


@pytest.mark.urls("tests.project.review_urls")
def test_nor_in_the_review_room(user: Any) -> None:
    room = Conversation.objects.create(user=user)
    turn = room.start_turn("Tell them.", user=user).turn_id
    given = [{"to": "a", "text": "z " * 40_000}, {"to": "b", "text": "z " * MOST}]
    room.request_approval(
        turn,
        [
            {"number": number, "tool": "told", "tool_call_id": f"c{number}", "input": each}
            for number, each in enumerate(given)
        ],
    )
    Worker(named(["overview"])).catch_up()
    client = client_with("boss", "review_conversation", "approve_tools")
    page = client.get(f"/review/{room.pk}/").content.decode()
    assert page.count('name="approved" value="yes"') == 1
    assert page.count('name="approved" value="no"') == 2
    assert "z z z" in page
    form = {"turn": str(turn), "approved": "yes"}
    act = f"/review/{room.pk}/decide/"
    refused = client.post(act, {**form, "call": "1"})
    assert refused.status_code == 400
    assert "characters of its input are not shown" in refused.content.decode()
    assert client.post(act, {**form, "call": "0"}).status_code == 303


def test_code_is_shown_by_its_lines() -> None:
    assert asked.shown_and_missing({"code": "a\nb"}) == ("a\nb", 0)
    assert asked.shown_and_missing({"code": "z" * (MOST + 3)})[1] == 3
    assert asked.shown_and_missing(None) == ("", 0)
