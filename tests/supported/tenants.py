"""Two tenants whose first conversations have one number, in one process: prints `done`."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Any

import django
from django.core.management import call_command
from django.db import connection

from tests.supported.scenario import require
from tests.supported.schemas import schema

TENANTS = ("north", "south")


def main() -> None:
    django.setup()
    from turnlog.models import Conversation

    for tenant in TENANTS:
        choose("public")
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {tenant}")
        choose(tenant)
        call_command("migrate", run_syncdb=True, verbosity=0)
        require(Conversation.objects.create().pk == 1, "the first conversation of a tenant")
    seen = asyncio.run(talk())
    for tenant, frames in seen.items():
        said = json.dumps(frames)
        other = TENANTS[tenant == TENANTS[0]]
        require(f"words of {tenant}" in said, f"{tenant}'s own words")
        require(f"words of {other}" not in said, f"no words of {other} in {tenant}'s page")
        require('"outcome": "completed"' in said, "an answer")
        choose(tenant)
        listed = [message.content for message in Conversation.objects.get().messages.all()]
        require(str(listed[0].content) == f"words of {tenant}", f"a log of {tenant}'s own")
        require(len(listed) == 2, "one turn")
        call_command("verify_log", stdout=sys.stderr)
    sys.stdout.write("done\n")


def choose(tenant: str) -> None:
    schema.set(tenant)
    if set_schema := getattr(connection, "set_schema", None):
        set_schema(tenant)  # django-tenants': this thread's connection.


def socket(tenant: str) -> Any:
    from channels.routing import URLRouter
    from channels.testing import WebsocketCommunicator
    from django.urls import path

    from tests.project.models_for_tests import ScriptedModel
    from turnlog.consumers import AgentChatConsumer

    class Chat(AgentChatConsumer):
        async def can_accept(self) -> bool:
            return True

        def get_llm(self) -> Any:
            return ScriptedModel(replies=[["Hel", "lo"]])

    router = URLRouter([path("<int:conversation_pk>/", Chat.as_asgi())])

    async def with_tenant(scope: Any, receive: Any, send: Any) -> None:
        schema.set(tenant)  # As an ASGI middleware does, by the host's name.
        await router(scope, receive, send)

    return WebsocketCommunicator(with_tenant, "/1/?format=json")


async def talk() -> dict[str, list[Any]]:
    from turnlog.consumers.answering import running

    sockets = {tenant: socket(tenant) for tenant in TENANTS}
    seen: dict[str, list[Any]] = {tenant: [] for tenant in TENANTS}
    for one in sockets.values():
        accepted, _ = await one.connect(timeout=30)
        require(accepted, "an open socket")
    for tenant, one in sockets.items():
        request = {"user_text": f"words of {tenant}", "turn_id": str(uuid.uuid4())}
        await one.send_to(text_data=json.dumps(request))
        frames = seen[tenant]
        while not (frames and frames[-1].get("outcome") not in (None, "open")):
            frames.append(json.loads(await one.receive_from(timeout=30)))
    for tenant, one in sockets.items():
        await one.send_to(text_data='{"type": "ping"}')
        while seen[tenant][-1].get("type") != "pong":
            seen[tenant].append(json.loads(await one.receive_from(timeout=30)))
        await one.disconnect()
    await running.drain(20)
    return seen


if __name__ == "__main__":
    main()
