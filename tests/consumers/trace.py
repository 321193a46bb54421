"""What a chat asks of the database: statements, hops to its threads, connections opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper

from turnlog.core import asynchronous


@dataclass(slots=True)
class Trace:
    statements: list[str] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)
    opened: int = 0

    def beyond_session_and_user(self) -> list[str]:
        """The statements that are neither of the session nor of who is logged in."""
        theirs = ("django_session", '"auth_user"')
        return [sql for sql in self.statements if not any(name in sql for name in theirs)]


@contextmanager
def traced() -> Iterator[Trace]:
    """Note what is done in the database's threads from here on."""
    trace = Trace()
    execute, executor = CursorWrapper.execute, asynchronous._executor()
    submit = executor.submit

    def noted(self: Any, sql: Any, params: Any = None) -> Any:
        if threading.current_thread().name.startswith("turnlog-database"):
            trace.statements.append(str(sql))
        return execute(self, sql, params)

    def hop(function: Any, *args: Any, **kwargs: Any) -> Any:
        trace.hops.append(str(getattr(args[0] if args else function, "__name__", function)))
        return submit(function, *args, **kwargs)

    def opened(**kwargs: Any) -> None:
        trace.opened += 1

    connection_created.connect(opened)
    try:
        with (
            mock.patch.object(CursorWrapper, "execute", noted),
            mock.patch.object(executor, "submit", hop),
        ):
            yield trace
    finally:
        connection_created.disconnect(opened)
