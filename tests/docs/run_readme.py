"""Chats with the README's own code: its consumer, route and view, in the tutorial's project."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import django
from asgiref.sync import async_to_sync


def main(readme: Path) -> None:
    from channels.routing import URLRouter
    from django.contrib.auth import get_user_model
    from django.test import RequestFactory
    from example.offline_tutor import OfflineTutor
    from run_blocks import run

    from turnlog.models import ConversationMessage

    code: dict[str, Any] = run(readme)
    consumer, view = code["HelpdeskConsumer"], code["chat"]
    consumer.get_llm = lambda self: OfflineTutor()

    user = get_user_model().objects.create_user("reader")
    request = RequestFactory().get("/")
    request.user = user
    page = view(request).content.decode()
    conversation = code["Conversation"].objects.get(user=user)
    if f'ws-connect="/ws/helpdesk/{conversation.pk}/"' not in page:
        sys.exit("the page does not connect to the conversation")

    async_to_sync(say)(URLRouter(code["websocket_urlpatterns"]), conversation.pk, user)
    said = ConversationMessage.objects.get_histories(conversation, user)
    sys.stdout.write(json.dumps([message.type for message in said]))


async def say(application: Any, conversation_pk: int, user: Any) -> None:
    from channels.testing import WebsocketCommunicator

    chat = WebsocketCommunicator(application, f"/ws/helpdesk/{conversation_pk}/?format=json")
    chat.scope["user"] = user
    connected, _ = await chat.connect()
    if not connected:
        sys.exit("the socket was refused")
    await chat.send_to(text_data=json.dumps({"user_text": "您好"}))
    outcome = "open"
    while outcome == "open":
        frame = json.loads(await chat.receive_from(timeout=30))
        outcome = frame.get("outcome", outcome)
    await chat.disconnect()
    if outcome != "completed":
        sys.exit(f"the turn ended as {outcome}")


if __name__ == "__main__":
    django.setup()
    main(Path(sys.argv[1]))
