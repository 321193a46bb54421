"""Chat models that say what a test wants, for tests below the network.

End-to-end tests speak HTTP to a real server of the protocol instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class ScriptedModel(BaseChatModel):
    """Each call streams the next reply: a list of text chunks, tool calls, or an exception."""

    replies: list[Any]
    seen: list[list[BaseMessage]] = []
    gates: dict[int, asyncio.Event] = {}
    """Wait for the event before the chunk of that number."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("not streamed"))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.seen.append(messages)
        for number, chunk in enumerate(self.replies.pop(0)):
            if gate := self.gates.get(number):
                await gate.wait()
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, str):
                chunk = AIMessageChunk(chunk)
            yield ChatGenerationChunk(message=chunk)


def tool_call(name: str, args: dict[str, Any], call_id: str = "call-1") -> AIMessageChunk:
    return AIMessageChunk(
        "", tool_calls=[{"name": name, "args": args, "id": call_id}], chunk_position="last"
    )
