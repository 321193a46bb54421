"""Whether a version lies in one of the ranges of a BranchChosen, in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db.models import BooleanField, Func, Value

RANGES = "jsonb_array_elements({json}) AS kept (pair)"
FIRST, LAST = "(pair ->> 0)::int", "(pair ->> 1)::int"
IN_SQLITE = {
    "jsonb_array_elements(chosen.payload::jsonb -> 'kept') AS kept (pair)": (
        "json_each(chosen.payload, '$.kept') AS kept"
    ),
    FIRST: "json_extract(kept.value, '$[0]')",
    LAST: "json_extract(kept.value, '$[1]')",
}
"""What stands on SQLite for what these statements have on PostgreSQL."""


def is_current(event: str, began: str) -> str:
    """Return SQL for whether an event's turn is in the current branch of its actor.

    `event` is a relation with the columns of turnlog_event, `began` the version at which the turn
    began.
    """
    ranges = RANGES.format(json="chosen.payload::jsonb -> 'kept'")
    return f"""coalesce(
        (SELECT {began} > chosen.version
           OR EXISTS (SELECT 1 FROM {ranges} WHERE {began} BETWEEN {FIRST} AND {LAST})
         FROM turnlog_event chosen
         WHERE chosen.stream_id = {event}.stream_id AND chosen.type = 'BranchChosen'
           AND (chosen.actor_id = {event}.actor_id
             OR (chosen.actor_id IS NULL AND {event}.actor_id IS NULL))
         ORDER BY chosen.version DESC LIMIT 1),
        true)"""


class IsWithin(Func):
    """Whether a version lies in one of some ranges; they are one parameter, however many."""

    output_field = BooleanField()

    def __init__(self, version: Any, ranges: Sequence[Sequence[int]]) -> None:
        super().__init__(version, Value(json.dumps([list(each) for each in ranges])))

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        ranges = RANGES.format(json="%(ranges)s::jsonb")
        return self._exists(compiler, ranges, FIRST, LAST)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._exists(
            compiler, "json_each(%(ranges)s) AS kept", IN_SQLITE[FIRST], IN_SQLITE[LAST]
        )

    def _exists(self, compiler: Any, ranges: str, first: str, last: str) -> Any:
        version, ours = compiler.compile(self.source_expressions[0])
        given, theirs = compiler.compile(self.source_expressions[1])
        ranges = ranges % {"ranges": given}
        sql = f"EXISTS (SELECT 1 FROM {ranges} WHERE {version} BETWEEN {first} AND {last})"
        return sql, (*theirs, *ours)
