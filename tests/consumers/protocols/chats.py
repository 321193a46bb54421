"""Chats with real clients of the models' protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from tests.consumers.test_socket import Client, get_stored, url
from turnlog.consumers import AgentChatConsumer

MakeModel = Callable[[str], Any]


def completions(address: str, **more: Any) -> Any:
    return ChatOpenAI(
        model="gpt-4o", base_url=f"{address}/v1", api_key="none", max_retries=0, **more
    )


def not_streamed(address: str) -> Any:
    return completions(address, disable_streaming=True)


def with_headers(address: str) -> Any:
    return completions(address, include_response_headers=True)


def responses(address: str) -> Any:
    return completions(address, use_responses_api=True, include=["reasoning.encrypted_content"])


def messages(address: str) -> Any:
    return ChatAnthropic(
        model_name="claude",
        base_url=address,
        api_key="none",
        max_retries=0,
        timeout=None,
        stop=None,
    )


def chat(make: MakeModel, address: str, *tools: Any, **attributes: Any) -> type[AgentChatConsumer]:
    """A chat whose model is at an address."""
    own = {"get_llm": lambda self: make(address), "tools": tools}
    return type("ThisChat", (AgentChatConsumer,), {**own, **attributes})


class Said:
    """What a client was sent for one message, and what the log has of it."""

    def __init__(self, frames: list[dict[str, Any]], events: list[Any]) -> None:
        self.frames = frames
        self.events = events
        self.outcome: str = frames[-1]["outcome"]
        self.error: str = frames[-1]["error"]

    @property
    def shown(self) -> str:
        text = ""
        for frame in self.frames:
            if frame.get("role") == "assistant":
                text = frame["content"] if frame["mode"] == "overwrite" else text + frame["content"]
        return text

    @property
    def kind(self) -> str:
        """The kind of the failure in the log; empty for a turn that did not fail."""
        failed = [json.loads(e.payload) for e in self.events if e.type == "TurnFailed"]
        return (failed[-1]["error"] or {}).get("kind", "") if failed else ""

    @property
    def log(self) -> str:
        return "\n".join(event.payload for event in self.events if event.payload)


async def ask(consumer: Any, conversation: Any, user: Any, *texts: str) -> Said:
    """Say these one after the other; what came of the last."""
    async with Client(consumer, url(conversation), user) as client:
        await client.until(lambda frame: frame.get("type") == "hello")
        for text in texts:
            turn_id, frames = await client.say(text)
    return Said(frames, [e for e in await get_stored(conversation) if str(e.turn_id) == turn_id])
