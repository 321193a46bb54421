"""What the database says it did, compared with what it was told to do.

A rule, a trigger or a policy can make it drop or change rows without an error. So each writer of
the log asks, in the same statement, for what has been stored; if that is not what was given, the
statement fails and its transaction is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import DataError, NotSupportedError, connections

from ...core.errors import NotStored
from ..tables.columns import EVENT_COLUMNS, adapters, quoted
from .statements import PENDING, split, target


def require_stored(table: str, expected: int, stored: int) -> None:
    """Raise NotStored if a statement wrote another number of rows than it was given."""
    if stored != expected:
        raise NotStored(table, f"expected the database to write {_rows(expected)}, found {stored}")


def insert_one(model: Any, using: str, **values: Any) -> None:
    """Insert one row, by its fields' names, and confirm it. Raises NotStored."""
    connection = connections[using]
    prepare = adapters(model, values, connection)
    given = [adapt(value) for adapt, value in zip(prepare, values.values(), strict=True)]
    table, marks = model._meta.db_table, ", ".join(["%s"] * len(given))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({quoted(values)}) VALUES ({marks})", given)
        require_stored(table, 1, cursor.rowcount)


@cache
def appending(given: str, follow: tuple[str, ...]) -> str:
    """Return PostgreSQL's statement that appends a batch, and fails if not all of it is stored.

    `given` is a SELECT of the batch's rows, empty if they must not be inserted; `follow` has the
    inline projections' INSERTs. Parameters: those of `given`. The result is the number of rows that
    `given` has.
    """
    columns = quoted(EVENT_COLUMNS)
    steps = [
        f"given ({columns}) AS MATERIALIZED ({given})",
        f"batch AS (INSERT INTO turnlog_event ({columns}) SELECT * FROM given RETURNING *)",
        f"pending AS ({PENDING} SELECT stream_id, min(version), max(version)"
        " FROM batch GROUP BY stream_id RETURNING *)",
    ]
    counts = [
        "(SELECT count(*) FROM given)",
        # What a trigger has changed is none of what was given.
        f"(SELECT count(*) FROM (SELECT {columns} FROM batch INTERSECT ALL"
        f" SELECT {columns} FROM given) AS stored)",
        "(SELECT coalesce(sum(last - first + 1), 0) FROM ("
        "SELECT stream_id, first, last FROM pending INTERSECT ALL"
        " SELECT stream_id, min(version), max(version) FROM given GROUP BY stream_id) AS stored)",
    ]
    for number, insert in enumerate(follow):
        into, wanted = split(insert)
        if not wanted:
            steps.append(f"follow{number} AS ({insert.format(events='batch')})")
            continue
        wanted = wanted.format(events="batch")
        if target(insert).startswith("turnlog_"):
            steps.append(f"wanted{number} AS MATERIALIZED ({wanted})")
            steps.append(f"follow{number} AS ({into} SELECT * FROM wanted{number} RETURNING 1)")
            counts.append(f"(SELECT count(*) FROM wanted{number})")
        else:
            # A literal's type follows from the column that it is inserted into, so this SELECT
            # stays where it is.
            steps.append(f"follow{number} AS ({insert.format(events='batch')} RETURNING 1)")
            counts.append(f"(SELECT count(*) FROM ({wanted}) AS wanted)")
        counts.append(f"(SELECT count(*) FROM follow{number})")
    names = [f"n{number}" for number in range(len(counts))]
    pairs = [("n0", "n1"), ("n0", "n2"), *zip(names[3::2], names[4::2], strict=True)]
    # What is no number makes the statement fail: it commits by itself.
    return (
        f"WITH {', '.join(steps)}"
        f" SELECT CASE WHEN {' AND '.join(f'{told} = {stored}' for told, stored in pairs)} THEN n0"
        f" ELSE concat_ws(' ', '{_MARK}', {', '.join(names)})::bigint END"
        f" FROM (SELECT {', '.join(counts)} OFFSET 0) AS counted ({', '.join(names)})"
    )


@contextmanager
def confirming(follow: Sequence[str]) -> Iterator[None]:
    """Raise NotStored where a statement of `appending` failed because rows are missing."""
    try:
        yield
    except DataError as error:
        found = re.search(rf"{_MARK}((?: \d+)+)", str(error))
        if found is None:
            raise
        given, events, pending, *others = map(int, found[1].split())
        tables = [target(insert) for insert in follow if split(insert)[1]]
        raise _lost(
            [
                ("turnlog_event", given, events),
                ("turnlog_pending", given, pending),
                *zip(tables, others[::2], others[1::2], strict=True),
            ]
        ) from error
    except NotSupportedError as error:
        # With a rule that replaces the insert, PostgreSQL does not take the statement.
        if getattr(error.__cause__, "sqlstate", None) != "0A000":
            raise
        first_line = str(error).splitlines()[0]
        named = re.search(r'"(\w+)"', first_line)
        what = f"expected the database to say what it stores, found that it does not ({first_line})"
        raise NotStored(named[1] if named else "the log's tables", what) from error


def _lost(counts: Sequence[tuple[str, int, int]]) -> NotStored:
    table, told, stored = next(each for each in counts if each[1] != each[2])
    return NotStored(table, f"expected the database to write {_rows(told)}, found {stored}")


_MARK = "turnlog stored:"


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
