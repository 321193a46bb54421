"""All that is done for a chat sees the context variables that the project's middleware has set."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from tests.consumers.test_socket import Client
from tests.docs.pages import DOCS
from tests.docs.run_blocks import run
from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers import AgentChatConsumer, live
from turnlog.consumers.socket.websocket import TRY_AGAIN_LATER
from turnlog.core import conf
from turnlog.events import hooks
from turnlog.models import Conversation

pytestmark = pytest.mark.django_db(transaction=True)


async def test_each_persons_context_is_seen_everywhere(
    conversation: Conversation, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page: dict[str, Any] = run(DOCS / "tenants.md")
    current = page["current"]
    seen: dict[str, str] = {}

    def in_a_thread() -> str:
        """Look where it is."""
        seen["tool"] = current()
        return "there"

    async def in_the_loop() -> str:
        """Look where it is."""
        seen["async tool"] = current()
        return "there"

    names = ["in_a_thread", "in_the_loop"]
    called = [{"name": name, "args": {}, "id": name} for name in names]
    asked = AIMessageChunk("", tool_calls=called, chunk_position="last")

    class Chat(AgentChatConsumer):
        tools = [in_a_thread, in_the_loop]

        async def can_accept(self) -> bool:
            seen["can_accept"] = current()
            return await super().can_accept()

        def get_llm(self) -> Any:
            seen["get_llm"] = current()
            return ScriptedModel(replies=[[asked], ["Done."]])

    monkeypatch.setattr(
        hooks, "after_commit", [*hooks.after_commit, lambda _: seen.update(log=current())]
    )
    for host in ("north", "south"):
        seen.clear()
        client = Client(Chat, f"/ws/chat/{conversation.pk}/?format=json", user)
        client.communicator.application = page["ByHost"](client.communicator.application)
        client.communicator.scope["headers"].append((b"host", f"{host}.example.com".encode()))
        async with client:
            await client.say("Where?")
        assert seen == dict.fromkeys(["can_accept", "get_llm", "tool", "async tool", "log"], host)


def test_a_tenants_conversation_has_a_place_of_its_own(
    conversation: Conversation, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TURNLOG = {"TENANT": "tests.supported.schemas.current"}
    places = []
    for tenant in ("north", "south"):
        monkeypatch.setattr("tests.supported.schemas.current", lambda name=tenant: name)
        places.append(live.place_of(conversation.pk))
    assert places == [("north", conversation.pk), ("south", conversation.pk)]
    assert len({live.group_of(place) for place in places}) == 2


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 61, None, 7])
def test_a_tenants_name_that_cannot_be_used_is_refused(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    monkeypatch.setattr("tests.supported.schemas.current", lambda: name)
    settings.TURNLOG = {"TENANT": "tests.supported.schemas.current"}
    with pytest.raises(conf.ConfigurationError, match="TENANT"):
        conf.tenant()


async def test_a_page_of_no_tenant_is_told_so_and_tries_again(
    conversation: Conversation, user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.supported.schemas.current", lambda: "no name")
    settings.TURNLOG = {"TENANT": "tests.supported.schemas.current"}
    async with Client(
        AgentChatConsumer, f"/ws/chat/{conversation.pk}/?format=json", user
    ) as client:
        assert "not set up correctly" in (await client.frame())["content"]
        closed = await client.communicator.receive_output(timeout=30)
    assert (closed["type"], closed["code"]) == ("websocket.close", TRY_AGAIN_LATER)
