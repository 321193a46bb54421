from __future__ import annotations

from typing import Any

from django.db.models import CharField, Value


class Literal(Value):
    """An event type within the statement itself, as no parameter of it.

    SQLite uses an index over the events of one type only for a statement that names the type.
    """

    def __init__(self, type_name: str) -> None:
        if not type_name.isidentifier():
            raise ValueError(f"expected the name of an event type, found {type_name!r}")
        super().__init__(type_name, output_field=CharField())

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{self.value}'", ()
