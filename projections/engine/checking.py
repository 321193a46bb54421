"""Compare a read model with the log, and leave it as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from django.db import transaction

from ...core.errors import ConfigurationError
from ...core.terminal import counted
from ...events.tables.database import log_database
from .chunks import giving_way, locked
from .contract import Row, SetBased
from .making import rebuild_rows
from .projection import Projection

_SHOWN = 80


def differences(
    projection: Projection, streams: Sequence[int], *, until: int | None = None
) -> dict[int, list[str]]:
    """Return how the conversations' rows differ from the log: sentences, by conversation.

    The log is read up to position `until`; by default, up to the position that the rows should have
    reached. The conversations are rebuilt under the locks of a real rebuild, compared, and rolled
    back, unless the projection can compute its rows in another way. Raises ProjectionFailed if the
    rebuild fails, ConfigurationError if the projection has no model.
    """
    if projection.model is None:
        raise ConfigurationError(
            f"projection {projection.name!r} has no `model`, so its rows cannot be compared with"
            " the log; to correct them, rebuild it"
        )
    found: dict[int, list[str]] = {}
    giving_way(streams, lambda part: found.update(_compare(projection, part, until)))
    return found


def _compare(
    projection: Projection, streams: Sequence[int], until: int | None
) -> dict[int, list[str]]:
    with locked(projection, streams) as stand:
        until = stand if until is None else until
        found = rows(projection, streams)
        if isinstance(projection, SetBased):
            wanted = projection.expected(streams)
        else:
            rebuild_rows(projection, streams, until)
            wanted = rows(projection, streams)
            transaction.set_rollback(True, using=log_database())
    keys = _key(projection)
    problems = {stream: list(_problems(wanted[stream], found[stream], keys)) for stream in streams}
    return {stream: sentences for stream, sentences in problems.items() if sentences}


def rows(projection: Projection, streams: Sequence[int]) -> dict[int, list[Row]]:
    """Return a projection's rows by conversation, without their ids and the conversation's."""
    query = projection.of_streams(streams)
    conversation = _conversation(projection)
    names = [
        field.attname
        for field in query.model._meta.concrete_fields
        if not field.primary_key or field.attname == conversation
    ]
    by_stream: dict[int, list[Row]] = {stream: [] for stream in streams}
    for row in query.values(*names).iterator():
        by_stream[row.pop(conversation)].append(row)
    return by_stream


def _key(projection: Projection) -> tuple[str, ...] | None:
    """Return the unique fields that identify a row within its conversation; None for none."""
    meta = projection.of_streams([]).model._meta
    attnames = {field.name: field.attname for field in meta.concrete_fields}
    unique = [[attnames[name] for name in each.fields] for each in meta.total_unique_constraints]
    unique += [[field.attname] for field in meta.concrete_fields if field.unique]
    unique += [[attnames[name] for name in names] for names in meta.unique_together]
    nullable = {field.attname for field in meta.concrete_fields if field.null}
    for names in unique:
        # A unique constraint allows any number of rows that have a null in it.
        if _conversation(projection) in names and nullable.isdisjoint(names):
            return tuple(name for name in names if name != _conversation(projection))
    return None


def _conversation(projection: Projection) -> str:
    """Return the column's attribute, whichever of its names `conversation_field` gives."""
    meta = projection.of_streams([]).model._meta
    name: str = meta.get_field(projection.conversation_field).attname
    return name


def _problems(wanted: list[Row], found: list[Row], keys: tuple[str, ...] | None) -> Iterator[str]:
    if keys is None:
        yield from _without_key(wanted, found)
        return
    expected = {tuple(row[name] for name in keys): row for row in wanted}
    there = {tuple(row[name] for name in keys): row for row in found}
    for place in [*expected, *(there.keys() - expected.keys())]:
        where = ", ".join(f"{k} {v}" for k, v in zip(keys, place, strict=True)) or "the row"
        if place not in there:
            yield f"{where} is missing"
        elif place not in expected:
            yield f"{where} should not be there"
        else:
            for name, value in expected[place].items():
                if there[place][name] != value:
                    yield f"{where}: {name} is not what the log says"


def _without_key(wanted: list[Row], found: list[Row]) -> Iterator[str]:
    expected = Counter(repr(sorted(row.items())) for row in wanted)
    there = Counter(repr(sorted(row.items())) for row in found)
    for row, count in (expected - there).items():
        yield f"{counted(count, 'row')} missing: {row[:_SHOWN]}"
    for row, count in (there - expected).items():
        yield f"{counted(count, 'row')} too many: {row[:_SHOWN]}"
