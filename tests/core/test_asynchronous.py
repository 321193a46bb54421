from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import connection

from turnlog.core.asynchronous import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_returns_and_raises_what_the_function_does() -> None:
    assert await in_database_thread(divmod)(7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_database_thread(divmod)(7, 0)


async def test_one_slow_call_does_not_hold_up_another() -> None:
    """Each waits for the other: in one thread they would wait for ever."""
    both = threading.Barrier(2, timeout=30)

    @in_database_thread
    def meet() -> int:
        return both.wait()

    assert sorted(await asyncio.gather(meet(), meet())) == [0, 1]


async def test_the_database_is_reached_from_a_thread_of_ours() -> None:
    @in_database_thread
    def ask() -> tuple[int, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()[0], threading.current_thread().name

    number, thread = await ask()
    assert number == 1
    assert thread.startswith("turnlog-database")
