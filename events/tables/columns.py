"""The columns of an event, and values as the database's driver takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .event import Event

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

Adapter = Callable[[Any], Any]

EVENT_COLUMNS = tuple(
    field.attname for field in Event._meta.concrete_fields if not field.primary_key
)
"""All but `id`, in the order of the table."""

LOADED = ("id", *EVENT_COLUMNS)
"""What `Event.from_db` and `Event.objects.raw` need."""


APPLIED = tuple(name for name in LOADED if name not in ("salt", "digest", "hash"))
"""What projections go by; of the proof, an event loads what it is asked for."""


def quoted(names: Iterable[str], alias: str = "") -> str:
    """Columns for an SQL statement, separated by commas, each of the relation `alias` if given."""
    relation = f"{alias}." if alias else ""
    return ", ".join(f'{relation}"{name}"' for name in names)


def adapters(
    model: type[Model], names: Iterable[str], connection: BaseDatabaseWrapper
) -> list[Adapter]:
    """For each field, by attribute name: a function from a value to a statement's parameter.

    The ORM does this by itself. A raw statement needs it on SQLite, which stores datetimes and
    UUIDs in a form that only Django's fields know.
    """
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return [_adapter(fields[name].get_db_prep_value, connection) for name in names]


def _adapter(prepare: Callable[..., Any], connection: BaseDatabaseWrapper) -> Adapter:
    return lambda value: prepare(value, connection)
