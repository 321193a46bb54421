"""How much the database reads for something, in numbers that are the same on any machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


@dataclass(frozen=True, slots=True)
class Read:
    """What was given back, the statements, and what they read: rows that PostgreSQL looked at for
    its SELECTs, or steps of SQLite's machine."""

    result: Any
    queries: list[str]
    cost: int


def reading(act: Callable[[], Any]) -> Read:
    """Do something, and return what it read."""
    with CaptureQueriesContext(connection) as captured, _Steps() as counted:
        result = act()
    queries = [query["sql"] for query in captured.captured_queries]
    if connection.vendor == "sqlite":
        return Read(result, queries, counted["steps"])
    cost = sum(_rows_read(sql) for sql in queries if sql.startswith("SELECT"))
    return Read(result, queries, cost)


class _Steps:
    """Counts what SQLite does meanwhile."""

    def __enter__(self) -> Counter[str]:
        self.counted: Counter[str] = Counter()
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(self._step, 10)
        return self.counted

    def _step(self) -> int:
        self.counted["steps"] += 10
        return 0

    def __exit__(self, *args: Any) -> None:
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(None, 10)


def _rows_read(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%"))
        [[plan]] = cursor.fetchall()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return sum(_scanned(node) for node in _nodes(plan[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _scanned(node: dict[str, Any]) -> int:
    if "Relation Name" not in node:
        return 0
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int((read + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])
