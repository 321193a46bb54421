"""Model fields whose values survive a fixture (`dumpdata`, `loaddata`) exactly, in every format.

Django's JSON keeps milliseconds of a time. Its XML keeps no space around a text, and XML itself
keeps no carriage return and has no control characters.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import models

_MARK = "turnlog-text:"
# What XML cannot hold or changes, and what YAML may fold.
_CHANGED = re.compile("\\A\\s|\\s\\Z|[^\t\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe"
                      "\uff00-\ufffd\U00010000-\U0010ffff]")  # fmt: skip


class MomentField(models.DateTimeField):  # type: ignore[type-arg]  # Takes none at run time.
    """A time; fixtures have all of its microseconds."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        return _as(models.DateTimeField, super().deconstruct())

    def value_from_object(self, obj: models.Model) -> Any:
        # As text, because each serializer has its own way of writing a datetime.
        value = super().value_from_object(obj)
        return None if value is None else value.isoformat()

    def value_to_string(self, obj: models.Model) -> str:
        return self.value_from_object(obj) or ""


class WordsField(models.TextField):  # type: ignore[type-arg]  # As above.
    """A text. In fixtures, one that a format would change is written as a JSON string.

    A receiver of pre_save has to call `restore` with each object that is loaded from a fixture.
    """

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        return _as(models.TextField, super().deconstruct())

    def value_to_string(self, obj: models.Model) -> str:
        return _written(self.value_from_object(obj))


class LineField(models.CharField):  # type: ignore[type-arg]  # As above.
    """The same for a short text."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        return _as(models.CharField, super().deconstruct())

    def value_to_string(self, obj: models.Model) -> str:
        return _written(self.value_from_object(obj))


def restore(instance: models.Model) -> None:
    """Give an object from a fixture the texts that it was written with.

    Raises ValueError if a text is not as it was written.
    """
    for field in instance._meta.concrete_fields:
        if isinstance(field, WordsField | LineField):
            value = getattr(instance, field.attname)
            if isinstance(value, str) and value.startswith(_MARK):
                setattr(instance, field.attname, json.loads(value.removeprefix(_MARK)))


def _written(text: str) -> str:
    if _CHANGED.search(text) or text.startswith(_MARK):
        return _MARK + json.dumps(text)
    return text


def _as(
    kind: type[models.Field[Any, Any]], found: tuple[str, str, Any, Any]
) -> tuple[str, str, Any, Any]:
    # For migrations it is the plain field, as it is in the database.
    name, _, args, kwargs = found
    return name, f"django.db.models.{kind.__name__}", args, kwargs
