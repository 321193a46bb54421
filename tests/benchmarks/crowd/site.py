"""What the crowd talks to: turnlog's chat, the barest consumer that could, and an echo."""

from __future__ import annotations

import os
from typing import Any

import django

django.setup()

from channels.auth import AuthMiddlewareStack  # isort: skip
from channels.generic.websocket import AsyncWebsocketConsumer  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from django.urls import path  # isort: skip
from langchain_core.messages import HumanMessage  # isort: skip
from langchain_openai import ChatOpenAI  # isort: skip

from turnlog.consumers import AgentChatConsumer  # isort: skip


def model() -> ChatOpenAI:
    return ChatOpenAI(
        model="crowd", api_key="none", base_url=os.environ["CROWD_MODEL"], max_retries=0
    )


class Chat(AgentChatConsumer):
    def get_llm(self) -> Any:
        return model()


class Bare(AsyncWebsocketConsumer):
    """Sends on what LangChain gives; keeps nothing, shows nothing."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        async for chunk in model().astream([HumanMessage(text_data or "")]):
            if chunk.text:
                await self.send(chunk.text)
        await self.send("end")


class Echo(AsyncWebsocketConsumer):
    """The echo of Channels' own documentation."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


application = ProtocolTypeRouter(
    {
        "websocket": AuthMiddlewareStack(
            URLRouter(
                [
                    path("chat/<int:conversation_pk>/", Chat.as_asgi()),
                    path("bare/", Bare.as_asgi()),
                    path("echo/", Echo.as_asgi()),
                ]
            )
        )
    }
)
