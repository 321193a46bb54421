"""Whoever waits for a lock that is held for long does not hold a thread that others need."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection, transaction
from langchain_core.messages import AIMessage

from turnlog.core import conf

pytestmark = pytest.mark.django_db(transaction=True)


async def test_who_waits_for_a_lock_holds_no_thread_that_others_need(
    conversation: Any, user: Any
) -> None:
    await conversation.arecord_turn("a", AIMessage("b"), user=user)
    held, read, order = threading.Event(), threading.Event(), []

    def fork_slowly() -> None:
        with transaction.atomic():
            conversation.fork()
            held.set()
            read.wait(30)
            order.append("let go")
        connection.close()

    forking = asyncio.create_task(asyncio.to_thread(fork_slowly))
    await asyncio.to_thread(held.wait)
    appending = [
        asyncio.create_task(conversation.arecord_turn("more", AIMessage("ok"), user=user))
        for _ in range(2 * conf.get().database_threads)
    ]
    for _ in range(3):  # Whatever the threads begin with.
        await conversation.ais_held()
    order.append("read")
    read.set()
    await asyncio.gather(forking, *appending)
    assert order == ["read", "let go"]
