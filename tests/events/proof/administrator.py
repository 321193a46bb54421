"""Changing the log behind the triggers' back, as a database administrator can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connection, transaction

from turnlog.events.proof.keys import known_keys
from turnlog.events.proof.problems import Problem
from turnlog.events.proof.verification import Verifier
from turnlog.events.store.append_only import triggers_suspended


def execute(sql: str, *parameters: Any) -> None:
    """Run a statement past the triggers."""
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def problems() -> list[Problem]:
    """What the verification of the whole log finds, but for triggers."""
    found = Verifier(known_keys()).whole()
    return [problem for problem in found if problem.what != "append-only trigger"]


@contextmanager
def undone() -> Iterator[None]:
    """What happens within it has not happened afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def try_to(sql: str, *parameters: Any) -> bool:
    """Whether the database itself lets somebody do this; triggers must be suspended already."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
    except (DatabaseError, OverflowError):
        return False
    return True
