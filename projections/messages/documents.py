"""A text column whose value in Python is what its document stands for."""

from __future__ import annotations

import logging
from typing import Any

from django.db import models

from ...core import codec
from ...core.errors import CodecError

logger = logging.getLogger("turnlog")


def stored_message(text: str) -> Any:
    """What a stored payload is for people and models: a message, or an AddableDict for a tool.

    What cannot be read here, as a class that is not registered any more, comes as an AddableDict
    of its text and the error: one such row must not make the rest of a history unreadable.
    """
    try:
        value = codec.loads(text)
    except CodecError as error:
        logger.warning("a stored message cannot be read: %s", error)
        value = {"unreadable": text, "error": str(error)}
    if type(value) is dict:
        from langchain_core.runnables.utils import AddableDict

        # What an agent executor's own chunk held comes back as that chunk.
        output = value.get("output")
        return output if isinstance(output, AddableDict) else AddableDict(value)
    return value


class DocumentField(models.TextField):  # type: ignore[type-arg]  # Django's takes none at run time.
    """Stored as JSON text, the payload's own bytes; look-ups such as `contains` see that text."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        # To migrations it is the text column that it is in the database.
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else stored_message(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else codec.dumps(value)

    def value_to_string(self, obj: Any) -> str:
        return codec.dumps(self.value_from_object(obj))
