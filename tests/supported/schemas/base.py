from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from . import schema


class DatabaseWrapper(base.DatabaseWrapper):
    def _cursor(self, name: str | None = None) -> Any:
        self.ensure_connection()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('search_path', %s, false)", [schema.get()])
        return super()._cursor(name)
