"""The how-tos: what their pages say happens in a chat, and what they list."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Any

import pandas as pd
import pytest
from django.test import RequestFactory
from langchain_core.messages import AIMessageChunk
from PIL import Image

from tests.consumers.test_socket import Client
from tests.docs.pages import DOCS, ROOT, codes, rows, section, text_of
from tests.docs.run_blocks import run
from tests.project.models_for_tests import ScriptedModel
from turnlog.core.asynchronous import in_database_thread
from turnlog.models import Conversation, ConversationMessage


async def outputs(chat: type[Any], calls: list[Any], conversation: Conversation, user: Any) -> Any:
    """What the model was given of some tool calls, what is stored, and what the page is shown."""
    named = [{"name": name, "args": args, "id": f"c-{n}"} for n, (name, args) in enumerate(calls)]
    asked = AIMessageChunk("", tool_calls=named, chunk_position="last")
    model = ScriptedModel(replies=[[asked], ["There."]], seen=[])
    rehearsed = type("Rehearsed", (chat,), {"get_llm": lambda self: model})
    async with Client(rehearsed, f"/ws/chat/{conversation.pk}/?format=json", user) as client:
        _, frames = await client.say("Please.")
    read = [str(message.content) for message in model.seen[-1] if message.type == "tool"]
    messages = await in_database_thread(ConversationMessage.objects.get_histories)(
        conversation, user
    )
    return read, [message["output"] for message in messages[1:-1]], frames


@pytest.mark.django_db(transaction=True)
async def test_tables_and_pictures_are_read_stored_and_shown_so(
    conversation: Conversation, user: Any
) -> None:
    page = await in_database_thread(run)(DOCS / "tables-and-pictures.md")

    def whole_year() -> pd.DataFrame:
        """A table, and no text."""
        table: Any = page["SALES"]
        return table

    def bare_picture() -> Image.Image:
        """A picture, and no text."""
        return Image.new("RGB", (2, 2))

    chat: Any = page["SalesConsumer"]
    chat.tools = [*chat.tools, whole_year, bare_picture]
    calls: list[Any] = [
        ("sales", {"first_month": 1, "last_month": 2}),
        ("sales_chart", {}),
        ("whole_year", {}),
        ("bare_picture", {}),
    ]
    read, stored, frames = await outputs(chat, calls, conversation, user)
    assert read[0] == "month,sold\n1,120\n2,130\n"
    assert read[1].startswith("A bar chart")
    assert read[2] == str(page["SALES"])
    assert "PIL.Image.Image" in read[3]
    kinds = [pd.DataFrame, Image.Image, pd.DataFrame, Image.Image]
    assert all(map(isinstance, stored, kinds))
    ended = [f for f in frames if f.get("role") == "tool" and f["mode"] == "append"]
    shown = sorted(ended, key=itemgetter("id"))  # They run at once.
    assert [frame["content"] for frame in shown] == read
    things = [thing["kind"] for frame in shown for thing in frame["things"]]
    assert things == ["table", "picture", "table", "picture"]

    view: Any = page["picture"]
    message = await in_database_thread(lambda: conversation.messages.order_by("version")[2])()
    request = RequestFactory().get("/")
    request.user = user
    response = await in_database_thread(view)(request, conversation.pk, message.version)
    assert response.content.startswith(b"\x89PNG")


@pytest.mark.django_db(transaction=True)
async def test_a_tool_knows_who_is_asking(conversation: Conversation, user: Any) -> None:
    page = await in_database_thread(run)(DOCS / "who-is-asking.md")
    await in_database_thread(Conversation.objects.create)(user=user, title="Order 17")
    await in_database_thread(Conversation.objects.create)(title="Not hers")
    calls: list[Any] = [("my_name", {}), ("my_conversations", {})]
    chat: Any = page["HelpdeskConsumer"]
    _, stored, _ = await outputs(chat, calls, conversation, user)
    assert stored == ["ada", ["Order 17"]]

    greeting: Any = page["GreetingConsumer"]
    greeting.scope = {"user": user}
    assert await greeting().aget_llm_system_prompt() == "You talk with ada."


def test_every_custom_property_is_listed() -> None:
    style = (ROOT / "consumers/static/turnlog/turnlog.css").read_text(encoding="utf-8")
    first_rule = re.search(r":root \{(.*?)\n\}", style, re.DOTALL)
    assert first_rule
    listed = [
        codes(row[0])[0] for row in rows(section(text_of("docs/look.md"), "## Colours and sizes"))
    ]
    assert listed == re.findall(r"^  (--turnlog-\w[\w-]*):", first_rule[1], re.MULTILINE)


def test_every_block_of_the_page_is_listed() -> None:
    page = (ROOT / "consumers/templates/turnlog/chat_room_ws.html").read_text(encoding="utf-8")
    table = rows(section(text_of("docs/look.md"), "## Parts"))
    listed = {code for row in table for code in codes(row[0])}
    assert listed == set(re.findall(r"\{% block (\w+) %\}", page))
