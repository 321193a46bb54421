"""Another answer, other words, and the way back: what a client asks for, and what each one sees."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from langchain_core.messages import AIMessage, HumanMessage

from tests.consumers.http_client import Browser, urls_of
from tests.consumers.test_previous_messages import require_prompt_is_what_was_seen
from tests.consumers.test_socket import Chat, Client, chat, get_stored, url
from turnlog.events.models import Conversation
from turnlog.projections.models import ConversationMessage
from turnlog.projections.outline import read_outline
from turnlog.views import AgentChatView

pytestmark = pytest.mark.django_db(transaction=True)

aget_histories = sync_to_async(ConversationMessage.objects.get_histories)


class Shown:
    """What a JSON client shows: turns in order, with what was said, and how they stand."""

    def __init__(self) -> None:
        self.turns: dict[str, list[str]] = {}
        self.branches: dict[str, Any] = {}

    def take(self, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            kind, name = frame.get("type"), frame.get("id", "")
            if kind == "reset":
                self.turns.clear()
            elif kind == "gone":
                for turn_id in frame["ids"]:
                    self.turns.pop(turn_id, None)
            elif kind == "turn":
                self.branches[name] = frame.get("branch")
            elif frame.get("role") == "user":
                self.turns[name.removesuffix("-human")] = [frame["content"], ""]
            elif frame.get("role") == "assistant":
                said = self.turns[name]
                said[1] = (said[1] if frame["mode"] == "append" else "") + frame["content"]

    @property
    def all(self) -> list[list[str]]:
        return list(self.turns.values())


def ends(turn_id: str) -> Any:
    return lambda f: f.get("type") == "turn" and f["id"] == turn_id and f["outcome"] != "open"


async def ask(client: Client, shown: Shown, **fields: Any) -> str:
    turn_id = str(uuid.uuid4())
    await client.send(turn_id=turn_id, **fields)
    shown.take(await client.until(ends(turn_id)))
    return turn_id


async def own(chat: Chat) -> list[Any]:
    """What a project's chat does that makes its own messages of what was said."""
    return await Chat.aget_previous_messages(chat)


@pytest.mark.parametrize("attributes", [{}, {"aget_previous_messages": own}])
async def test_an_answer_is_given_again_and_an_earlier_one_is_continued(
    conversation: Any, user: Any, attributes: Any
) -> None:
    replies = ([word] for word in ("one", "two", "two again", "three", "four"))
    consumer = chat(*replies, **attributes)
    shown, elsewhere = Shown(), Shown()
    async with (
        Client(consumer, url(conversation), user) as client,
        Client(consumer, url(conversation), user) as other,
    ):
        await ask(client, shown, user_text="a")
        second = await ask(client, shown, user_text="b")
        again = await ask(client, shown, type="again", instead_of=second)
        assert shown.all == [["a", "one"], ["b", "two again"]]
        branch = {"place": 2, "count": 2, "previous": second, "next": None}
        assert shown.branches[again] == branch
        found = await require_prompt_is_what_was_seen(consumer, conversation)
        assert [message.content for message in found.messages][1:] == ["a", "one", "b"]

        await client.send(type="choose", turn_id=second)
        shown.take(await client.until(ends(second)))
        assert shown.all == [["a", "one"], ["b", "two"]]
        assert shown.branches[second] == {**branch, "place": 1, "previous": None, "next": again}
        third = await ask(client, shown, user_text="c")
        found = await require_prompt_is_what_was_seen(consumer, conversation)
        assert [m.content for m in found.messages][1:] == ["a", "one", "b", "two", "c"]

        first = next(iter(shown.turns))
        edited = await ask(client, shown, user_text="A", instead_of=first)
        assert shown.all == [["A", "four"]]
        found = await require_prompt_is_what_was_seen(consumer, conversation)
        assert [message.content for message in found.messages][1:] == ["A"]
        await client.send(type="choose", turn_id=first)
        shown.take(await client.until(ends(third)))
        whole = [["a", "one"], ["b", "two"], ["c", "three"]]
        assert shown.all == whole
        said = [message.content for message in await aget_histories(conversation, user)]
        assert said == [text for turn in whole for text in turn]

        # The other one has seen all of it; and whoever comes now sees the same.
        await other.until(lambda frame: elsewhere.take([frame]) or elsewhere.all == whole)
    assert elsewhere.all == whole
    late = Shown()
    async with Client(consumer, url(conversation), user) as client:
        late.take(await client.until(ends(third)))
    assert late.all == whole
    assert late.branches == {
        first: {"place": 1, "count": 2, "previous": None, "next": edited},
        second: {**branch, "place": 1, "previous": None, "next": again},
        third: None,
    }


async def test_who_was_away_sees_what_is_current_now(conversation: Any, user: Any) -> None:
    consumer = chat(["one"], ["two"], ["other"])
    shown, away = Shown(), Shown()
    async with Client(consumer, url(conversation), user) as client:
        first = await ask(client, shown, user_text="a")
        await ask(client, shown, user_text="b")
        away.take([*({"id": f"{n}-human", "role": "user", "content": "?"} for n in shown.turns)])
        head = (await get_stored(conversation))[-1].version
        edited = await ask(client, shown, user_text="A", instead_of=first)
    query = f"format=json&after={head}"
    async with Client(consumer, url(conversation, query), user) as client:
        away.take(await client.until(ends(edited)))
    assert away.all == shown.all == [["A", "other"]]


@pytest.mark.parametrize("turn", ["unknown", "another's", "erased", "cleared", "left"])
async def test_what_cannot_be_replaced_is_refused(turn: str, conversation: Any, user: Any) -> None:
    room = await Conversation.objects.acreate()
    bob = await get_user_model().objects.acreate_user("bob")
    ids = {"unknown": uuid.uuid4()}
    for name in ("cleared", "another's", "erased", "left"):
        ids[name] = uuid.uuid4()
        whose = bob if name == "another's" else user
        await room.arecord_turn(name, AIMessage("ok"), user=whose, turn_id=ids[name])
        if name == "cleared":
            await room.aclear()
    await room.aerase([ids["erased"]], reason="asked")
    await room.arecord_turn("new", AIMessage("ok"), user=user, instead_of=ids["left"])
    before = len(await get_stored(room))
    consumer = chat()
    async with Client(consumer, url(room), user) as client:
        for fields in (
            {"type": "again", "turn_id": str(uuid.uuid4()), "instead_of": str(ids[turn])},
            {"user_text": "x", "turn_id": str(uuid.uuid4()), "instead_of": str(ids[turn])},
            {"type": "choose", "turn_id": str(ids[turn])},
        ):
            if turn == "left" and fields.get("type") == "choose":
                continue
            await client.send(**fields)
            notice = (await client.until(lambda f: f.get("type") == "notice"))[-1]
            assert notice["content"].startswith("That message cannot be changed any more")
            expected = "" if fields.get("type") == "choose" else fields["turn_id"]
            assert notice["refused_turn_id"] == expected
    assert len(await get_stored(room)) == before
    assert consumer.model.seen == []


async def test_a_picture_is_sent_again(conversation: Any, user: Any) -> None:
    picture = {"type": "image", "url": "https://example.org/cat.png"}
    said = HumanMessage([{"type": "text", "text": "what is this?"}, picture])
    first = uuid.uuid4()
    await conversation.arecord_turn(said, AIMessage("a dog"), user=user, turn_id=first)
    consumer = chat(["a cat"])
    async with Client(consumer, url(conversation), user) as client:
        await ask(client, Shown(), type="again", instead_of=str(first))
    assert [given[-1].content for given in consumer.model.seen] == [said.content]


async def test_over_http(conversation: Any, user: Any, settings: Any) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    await conversation.arecord_turn("a", AIMessage("one"), user=user, turn_id=first)
    await conversation.arecord_turn(
        "b", AIMessage("two"), user=user, turn_id=second, instead_of=first
    )
    settings.ROOT_URLCONF = urls_of(type("View", (AgentChatView,), {"llm_model": "scripted"}))
    browser = Browser(user)
    address = f"/chat/{conversation.pk}/"

    async def post(**fields: Any) -> Any:
        return await browser.post(address, fields)

    assert (await post(type="choose", turn_id=str(first))).status == 202
    said = [message.content for message in await aget_histories(conversation, user)]
    assert said == ["a", "one"]
    refused = await post(type="choose", turn_id=str(uuid.uuid4()))
    assert (refused.status, json.loads(await refused.body())["type"]) == (409, "notice")
    refused = await post(type="again", turn_id=str(uuid.uuid4()), instead_of=str(second))
    assert refused.status == 409


def test_a_long_branched_conversation_is_paged_through(conversation: Any, user: Any) -> None:
    """Each page has the current turns alone, and all of them are on one."""
    current: list[uuid.UUID] = []
    for number in range(12):
        turn_id = uuid.uuid4()
        conversation.record_turn("a", AIMessage("one"), user=user, turn_id=turn_id)
        for _ in range(number % 3):
            replaced, turn_id = turn_id, uuid.uuid4()
            conversation.record_turn(
                "a", AIMessage("again"), user=user, turn_id=turn_id, instead_of=replaced
            )
        current.append(turn_id)
    conversation.choose_branch(
        read_outline(conversation.pk, user, limit=50).places[4].alternatives[0], user
    )
    current[4:] = [place.turn_id for place in read_outline(conversation.pk, user, limit=50).places][
        4:
    ]
    assert len(current) == 5
    for limit in (1, 2, 5):
        seen: list[uuid.UUID] = []
        before = None
        while True:
            outline = read_outline(conversation.pk, user, before=before, limit=limit)
            seen = [place.turn_id for place in outline.places] + seen
            if not outline.more:
                break
            before = outline.places[0].first
        assert seen == current
