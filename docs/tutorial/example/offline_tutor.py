"""A stand-in for a language model, so that the tutorial runs without a key and without a network.

It answers from a handful of sentences, streams them like a model would, looks up a price when it is
asked about prices, and orders when it is told to order.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

GREETING = "您好，欢迎光临星巴克！请问您要喝点什么？"
PICTURE = "谢谢您的照片！我看不到里面有什么，因为我不是真的模型。您想点什么？"
FILE = "谢谢，我收到您的文件了。可惜我不会看文件。您想点什么？"
ANSWERS = [
    "好的。请问您要 **大杯**、**中杯** 还是 **小杯**？",
    "您要热的还是冰的？\n\n1. 热的\n2. 冰的",
    "一共三十二元。\n\n| 饮料 | 价格 |\n|---|---:|\n| 拿铁 | 32 元 |\n\n请问怎么付款？",
    "好的，请稍等。\n\n> 您的咖啡马上就好。\n\n谢谢光临！",
]


class OfflineTutor(BaseChatModel):
    """Streams canned sentences, a few characters at a time."""

    @property
    def _llm_type(self) -> str:
        return "offline-tutor"

    def bind_tools(self, tools: Any, **kwargs: Any) -> "OfflineTutor":
        return self  # It knows the tools that it calls.

    def reply(self, messages: list[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
        """The text of an answer, and the tools that it calls."""
        return _reply(messages)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text, calls = self.reply(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, tool_calls=calls))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        text, calls = self.reply(messages)
        pause = float(os.environ.get("OFFLINE_TUTOR_PAUSE", "0.06"))
        for start in range(0, len(text), 2):
            await asyncio.sleep(pause)
            yield ChatGenerationChunk(message=AIMessageChunk(text[start : start + 2]))
        usage = {
            "input_tokens": sum(len(message.text) for message in messages),
            "output_tokens": len(text),
            "total_tokens": sum(len(message.text) for message in messages) + len(text),
        }
        last = AIMessageChunk("", tool_calls=calls, usage_metadata=usage, chunk_position="last")
        yield ChatGenerationChunk(message=last)


def _reply(messages: list[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return _after(last), []
    asked = last.text
    if any(word in asked for word in ("얼마", "가격", "多少", "price", "much")):
        return "", [_call("look_up_price", name="拿铁")]
    if any(word in asked for word in ("주문", "下单", "order")):
        return "", [_call("place_order", name="拿铁", cups=2)]
    kinds = {part.get("type") for part in last.content if isinstance(part, dict)}
    if "image" in kinds:
        return PICTURE, []
    if "file" in kinds or last.additional_kwargs.get("attachments"):
        return FILE, []
    turns = sum(message.type == "human" for message in messages)
    return (GREETING if turns == 1 else ANSWERS[(turns - 2) % len(ANSWERS)]), []


def _call(tool: str, **args: Any) -> dict[str, Any]:
    return {"name": tool, "args": args, "id": f"call-{uuid.uuid4()}"}


def _after(output: ToolMessage) -> str:
    if output.name != "place_order":
        return f"{output.text}。您要来一杯吗？"
    if output.status == "error":
        return "好的，先不下单。您还想看看别的吗？"
    return f"下单成功！{output.text}。请稍等。"
