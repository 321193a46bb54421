"""The tools of an MCP server, by langchain-mcp-adapters, are tools like any others."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_mcp_adapters.client import MultiServerMCPClient

from tests.consumers.test_socket import Client, get_stored, url
from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers import AgentChatConsumer
from turnlog.core.asynchronous import in_database_thread
from turnlog.events.models import Content

SERVER = Path(__file__).parent / "mcp_server.py"


@pytest.mark.slow_once
@pytest.mark.django_db(transaction=True)
async def test_tools_of_an_mcp_server(conversation: Any, user: Any) -> None:
    calls: list[Any] = [
        {"name": "total", "args": {"prices": [3, 4]}, "id": "a"},
        {"name": "cancel", "args": {"order": "7"}, "id": "b"},
        {"name": "total", "args": {"prices": "three"}, "id": "c"},
    ]
    asked = AIMessageChunk("", tool_calls=calls, chunk_position="last")
    model = ScriptedModel(replies=[[asked], ["It is 7."]], seen=[])
    servers = MultiServerMCPClient(
        {"orders": {"transport": "stdio", "command": sys.executable, "args": [str(SERVER)]}}
    )

    class Shop(AgentChatConsumer):
        def get_llm(self) -> Any:
            return model

        async def get_tools(self) -> Any:
            tools = []
            for name, told in (await servers.get_server_info()).items():
                server = {"name": told.serverInfo.name, "version": told.serverInfo.version}
                for tool in await servers.get_tools(server_name=name):
                    tool.metadata = {**(tool.metadata or {}), "server": server}
                    tools.append(tool)
            return tools

    async with Client(Shop, url(conversation), user) as client:
        _, frames = await client.say("How much?")
    assert frames[-1]["outcome"] == "completed"
    told = [str(message.content) for message in model.seen[1] if message.type == "tool"]
    assert "7" in told[0]
    assert "there is no order 7" in told[1]
    assert "prices" in told[2]
    events = await get_stored(conversation)
    outputs = [json.loads(e.payload) for e in events if e.type == "ToolOutputRecorded"]
    assert [output["status"] for output in outputs] == ["ok", "error", "error"]
    started = next(json.loads(e.payload) for e in events if e.type == "TurnStarted")
    assert started["parameters"]["tool_servers"] == [{"name": "orders", "version": "1.2.3"}]
    schemas = await in_database_thread(Content.objects.get)(pk=started["tools"])
    assert "The sum of some prices." in schemas.text
