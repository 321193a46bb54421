"""A text column whose value in Python is the decoded document."""

from __future__ import annotations

import logging
from typing import Any

from django.db import models

from ...core import codec
from ...core.errors import CodecError

logger = logging.getLogger("turnlog")


def stored_message(text: str) -> Any:
    """Return a stored payload as people and models read it: a message, or a tool's AddableDict.

    A payload that cannot be read, such as one of a class that is no longer registered, becomes an
    AddableDict of its text and the error: one such row must not make the whole history unreadable.
    """
    try:
        value = codec.loads(text)
    except CodecError as error:
        logger.warning("a stored message cannot be read: %s", error)
        value = {"unreadable": text, "error": str(error)}
    if type(value) is dict:
        from langchain_core.runnables.utils import AddableDict

        # The chunk of an agent executor comes back as that chunk.
        output = value.get("output")
        return output if isinstance(output, AddableDict) else AddableDict(value)
    return value


class DocumentField(models.TextField):  # type: ignore[type-arg]  # Django's takes none at run time.
    """Stored as JSON text, the payload's own bytes; look-ups such as `contains` see that text."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        # For migrations it is a plain text column, as in the database.
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else stored_message(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else codec.dumps(value)

    def value_to_string(self, obj: Any) -> str:
        return codec.dumps(self.value_from_object(obj))
