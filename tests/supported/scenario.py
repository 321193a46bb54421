"""All that turnlog does, once, in a process with a project's settings: prints `done`."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django
from django.core import checks
from django.core.management import call_command
from django.db import connection, transaction


def main() -> None:
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    commit()
    found = checks.run_checks(databases=["default"])
    errors = [each for each in found if each.level >= checks.ERROR]
    if errors:
        sys.exit("; ".join(f"{each.id}: {each.msg}" for each in errors))
    folder = Path(mkdtemp())
    users = people()
    live(users)
    within_a_transaction(users[0])
    chats(users[0])
    operations(users, folder)
    pages(users)
    users[0].delete()
    commit()
    for name in ("verify_log", "check_projections"):
        command(name)
    sys.stdout.write("done\n")


def commit() -> None:
    """What a project does whose AUTOCOMMIT is off."""
    if not transaction.get_autocommit():
        transaction.commit()


def require(truth: bool, what: str) -> None:
    """As assert does, with -O too."""
    if not truth:
        raise SystemExit(f"expected {what}")


def command(name: str, /, *arguments: Any, **options: Any) -> str:
    """Run a command that has to find nothing wrong; what it said."""
    out = StringIO()
    try:
        call_command(name, *arguments, **options, stdout=out)
    except SystemExit:
        sys.exit(f"{name} found something: {out.getvalue()}")
    return out.getvalue()


def people() -> list[Any]:
    from django.contrib.auth import get_user_model

    command("generate_events", events=200, force=True)
    commit()
    model = get_user_model()
    return list(model._base_manager.all())


def live(users: list[Any]) -> None:
    from langchain_core.messages import AIMessage

    from turnlog.events.erasure.users import erase_user
    from turnlog.models import Conversation, ConversationMessage
    from turnlog.projections.travel.moments import as_of

    ada, bob = users
    conversation = Conversation.objects.create(user=ada, title="Coffee")
    commit()
    turn = conversation.start_turn("a latte", user=ada)
    conversation.record_turn("a latte", AIMessage("here"), user=ada, turn_id=turn.turn_id)
    turn = conversation.start_turn("a tea", user=ada)
    conversation.fail_turn(turn.turn_id, error={"type": "ModelError", "text": "no water"})
    found = ConversationMessage.objects.get_histories(conversation, ada)
    require([each.content for each in found] == ["a latte", "here"], "the finished turn")
    fork = conversation.fork(user=ada)
    fork.clear(by=ada)
    require(len(as_of(conversation, at=turn.event.recorded_at).messages) == 2, "the past")
    conversation.hold(by=ada, reason="case 1")
    conversation.lift_hold(by=ada, reason="settled")
    bobs = Conversation.objects.create(user=bob)
    bobs.record_turn("a secret", AIMessage("oh"), user=bob)
    require(len(list(erase_user(bob, by=ada, reason="request 1", forget=True))) > 0, "receipts")
    require(ConversationMessage.objects.get_histories(bobs, bob) == [], "no words")


def within_a_transaction(user: Any) -> None:
    """A start in a transaction that has read, and writes afterwards; it is rolled back."""
    from turnlog.core.errors import TransactionInTheWay
    from turnlog.models import Conversation

    room = Conversation.objects.create(user=user)
    commit()
    # Then a transaction may write from its beginning, and nobody else can meanwhile.
    immediate = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode") == "IMMEDIATE"
    started = None
    try:
        with transaction.atomic():
            list(Conversation.objects.all())
            started = room.start_turn("hello", user=user)
            room.title = "rolled back"
            room.save()
            transaction.set_rollback(True)
    except TransactionInTheWay:
        require(immediate, "a start beside a transaction that has read")
    require((started is None) is immediate, "a refusal where others cannot write")
    room.refresh_from_db()
    require(room.title == "", "no title of a transaction that was rolled back")
    if started is not None:
        room.record_turn("hello", "hi", user=user, turn_id=started.turn_id)
        commit()


def chats(user: Any) -> None:
    from channels.routing import URLRouter
    from channels.testing import WebsocketCommunicator
    from django.urls import path

    from tests.project.models_for_tests import ScriptedModel
    from turnlog.consumers import AgentChatConsumer
    from turnlog.consumers.answering import running
    from turnlog.models import Conversation

    class Chat(AgentChatConsumer):
        def get_llm(self) -> Any:
            return ScriptedModel(replies=[["Hel", "lo"]])

    conversation = Conversation.objects.create(user=user)
    commit()

    async def talk() -> list[dict[str, Any]]:
        router = URLRouter([path("<int:conversation_pk>/", Chat.as_asgi())])
        socket = WebsocketCommunicator(router, f"/{conversation.pk}/?format=json")
        socket.scope["user"] = user
        accepted, _ = await socket.connect(timeout=30)
        require(accepted, "an open socket")
        turn_id = str(uuid.uuid4())
        await socket.send_to(text_data=json.dumps({"user_text": "hi", "turn_id": turn_id}))
        frames: list[dict[str, Any]] = []
        while not (frames and frames[-1].get("outcome") not in (None, "open")):
            frames.append(json.loads(await socket.receive_from(timeout=30)))
        await socket.disconnect()
        await running.drain(20)
        return frames

    frames = asyncio.run(talk())
    require(frames[-1]["outcome"] == "completed", "an answer")
    require(conversation.messages.count() == 2, "a recorded turn")


def operations(users: list[Any], folder: Path) -> None:
    username = str(users[0].get_username())
    command("run_projections", once=True)
    key = str(folder / "key")
    command("create_signing_key", name="a.example", output=key)
    for name in ("check_projections", "rebuild_projections", "verify_log"):
        command(name)
    command("erase_payload", user=username, reason="request 2", dry_run=True)
    from turnlog.models import Conversation

    mine = Conversation.objects.filter(title="Coffee").order_by("pk")[0]
    told = command("replay_conversation", mine.pk)
    require(f"human {username}" in told, f"{username} in {told}")


def pages(users: list[Any]) -> None:
    from django.test import Client

    staff = users[0]
    if hasattr(staff, "is_superuser"):
        staff.is_superuser = True
    staff.is_staff = True
    staff.save()
    client = Client()
    client.force_login(staff)
    for name in (
        "turnlog_events/event",
        "turnlog_events/conversation",
        "turnlog_projections/conversationmessage",
        "turnlog_projections/searchentry",
        "turnlog_projections/usage",
    ):
        for query in ("", "?q=1", "?q=latte", f"?q={staff.get_username()}"):
            response = client.get(f"/admin/{name}/{query}")
            require(response.status_code == 200, f"a page of {name}, found {response.status_code}")


if __name__ == "__main__":
    main()
