"""Insert many rows at once, in the fastest way that the database offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from django.db import connections, models

from ...events.tables.database import log_database

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model

_AT_ONCE = 500
# Fields whose values the driver accepts as they are.
_AS_THEY_ARE = {
    models.AutoField,
    models.BigAutoField,
    models.BigIntegerField,
    models.BooleanField,
    models.CharField,
    models.IntegerField,
    models.TextField,
    models.UUIDField,
}


def insert(rows: Sequence[Model]) -> None:
    """Insert new rows of one model, on PostgreSQL by COPY: bulk_create takes several times as long.

    The rows' ids stay unset, and no signals are sent.
    """
    if not rows:
        return
    model, connection = type(rows[0]), connections[log_database()]
    fields = [f for f in model._meta.concrete_fields if not (f.primary_key and f.db_returning)]
    # COPY accepts values only, and a database's own default is not a value.
    if connection.vendor != "postgresql" or any(field.has_db_default() for field in fields):
        model._default_manager.using(connection.alias).bulk_create(rows, batch_size=_AT_ONCE)
        return
    for field in fields:
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            for row in rows:
                field.pre_save(row, add=True)  # Sets the value, as save() would.
    values = [_prepared(f, attrgetter(f.attname), connection) for f in fields]
    _copy(model, fields, values, rows, connection)


def insert_values(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert new rows of a model from values alone: making instances takes most of the time.

    `names` are the names of the fields (`..._id` for a foreign key). All other fields stay null or
    get the database's own default.
    """
    connection = connections[log_database()]
    by_name = {n: f for f in model._meta.concrete_fields for n in (f.name, f.attname)}
    fields = [by_name[name] for name in names]
    if connection.vendor != "postgresql":
        keys = [field.attname for field in fields]
        instances = [model(**dict(zip(keys, row, strict=True))) for row in rows]
        model._default_manager.using(connection.alias).bulk_create(instances, batch_size=_AT_ONCE)
        return
    values = [_prepared(f, itemgetter(n), connection) for n, f in enumerate(fields)]
    _copy(model, fields, values, rows, connection)


def _copy(
    model: type[Model],
    fields: Sequence[Field[Any, Any]],
    values: Sequence[Callable[[Any], Any]],
    rows: Iterable[Any],
    connection: BaseDatabaseWrapper,
) -> None:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    # COPY bypasses Django's cursor, so the driver's errors are turned into Django's here.
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            copy.write_row([value(row) for value in values])


def _prepared(
    field: Field[Any, Any], value: Callable[[Any], Any], connection: BaseDatabaseWrapper
) -> Callable[[Any], Any]:
    """Return a function that gives a row's value of a field, in the form the driver accepts."""

    def prepared(row: Any) -> Any:
        return field.get_db_prep_save(value(row), connection)

    def moment(row: Any) -> Any:
        at = value(row)
        return prepared(row) if at is None or at.tzinfo is None else at

    # Calling the field takes longer than writing the row.
    if type(field) is models.DateTimeField:
        return moment
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return value if type(target) in _AS_THEY_ARE else prepared
