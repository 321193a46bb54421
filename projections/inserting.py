"""Inserting many rows at once, the fastest way the database has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.db import connections, models

from ..events.dialects import log_database

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model

_AT_ONCE = 500
_AS_THEY_ARE = {models.TextField, models.CharField, models.UUIDField, models.IntegerField}


def insert(rows: Sequence[Model]) -> None:
    """Insert new rows of one model, by COPY on PostgreSQL, where bulk_create takes several times
    as long. Their ids stay unset, and no signals are sent."""
    if not rows:
        return
    model, connection = type(rows[0]), connections[log_database()]
    # COPY takes values, and a database's own default is none.
    by_copy = not any(field.has_db_default() for field in model._meta.concrete_fields)
    if connection.vendor != "postgresql" or not by_copy:
        model._default_manager.using(connection.alias).bulk_create(rows, batch_size=_AT_ONCE)
        return
    fields = [f for f in model._meta.concrete_fields if not (f.primary_key and f.db_returning)]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    values = [_reader(field, connection) for field in fields]
    # COPY is the driver's own, past Django's cursor: its errors become Django's here.
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            copy.write_row([value(row) for value in values])


def _reader(field: Field[Any, Any], connection: BaseDatabaseWrapper) -> Callable[[Model], Any]:
    """What gives a row's value of a field as the driver takes it."""
    value = attrgetter(field.attname)
    if type(field) in _AS_THEY_ARE:
        return value  # Asking the field would take longer than writing the row.
    return lambda row: field.get_db_prep_save(field.pre_save(row, add=True), connection)
