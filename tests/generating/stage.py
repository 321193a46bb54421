"""What stands before made-up conversations begin: users, their pseudonyms and kept prompts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction

from turnlog.core.errors import TurnlogError
from turnlog.events.prompt import Prompt
from turnlog.events.tables.actor import Actor
from turnlog.events.tables.content import Content

from .texts import MODELS, SUBJECTS

MAX_TOKENS = 4096
_BEGINNING = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_PSEUDONYMS = uuid.UUID("6f1a4a0e-5d0c-4f0b-9a5e-7475726e6c67")


class Person(NamedTuple):
    """A user's primary key, and the pseudonym under which they speak."""

    user_id: Any
    actor_id: uuid.UUID


class Stage(NamedTuple):
    """`prompts`: for each subject's name and model, the fields of a TurnStarted."""

    people: Sequence[Person]
    prompts: Mapping[tuple[str, str], Mapping[str, Any]]


def set_up(people: int) -> Stage:
    """Make what is not there yet."""
    return Stage([_person(f"generated-{number:03}") for number in range(1, people + 1)], _prompts())


def _person(name: str) -> Person:
    model = get_user_model()
    identity = value_for(model._meta.get_field(model.USERNAME_FIELD), name)
    user = model._base_manager.filter(**{model.USERNAME_FIELD: identity}).first()
    if user is None:
        user = _created(model, name)
    # From the name, so that the same log comes out wherever it is generated.
    actor_id = uuid.uuid5(_PSEUDONYMS, name)
    return Person(
        user.pk, Actor.objects.get_or_create(user_id=user.pk, defaults={"id": actor_id})[0].id
    )


def _created(model: Any, name: str) -> Any:
    """A new row. Raises TurnlogError if the project's own rules refuse what is made up for it."""
    row = model(**fields_of(model, name))
    if hasattr(row, "set_unusable_password"):
        row.set_unusable_password()
    try:
        with transaction.atomic():
            # Saved one by one: the project may have made something hang on a new user.
            row.save()
    except (DatabaseError, ValidationError, TypeError, ValueError) as error:
        raise TurnlogError(
            f"{model._meta.label} refuses the made-up row {name}: {error}; create users"
            " generated-001 and so on yourself"
        ) from error
    return row


def fields_of(model: Any, name: str) -> dict[str, Any]:
    """Each field that a row needs, filled from a name; a user's name, and what else is required.

    A required relation refers to the first row there is, or to one that is made up as well.
    """
    named = {getattr(model, "USERNAME_FIELD", ""), *getattr(model, "REQUIRED_FIELDS", ())}
    return {
        field.name: value_for(field, name)
        for field in model._meta.concrete_fields
        if field.name in named or _is_needed(field)
    }


def _is_needed(field: Any) -> bool:
    if field.null or field.has_default() or getattr(field, "auto_created", False):
        return False
    filled_by_itself = ("auto_now", "auto_now_add", "generated", "db_returning")
    if any(getattr(field, each, False) for each in filled_by_itself):
        return False
    if field.primary_key and isinstance(field, models.AutoField):
        return False
    return not (field.blank and field.empty_strings_allowed) and field.name != "password"


def value_for(field: Any, name: str) -> Any:
    """A value that the field accepts, different for each name if it can be."""
    number = int(name.rpartition("-")[2])
    if field.is_relation:
        related = field.related_model
        return related._base_manager.first() or _created(related, name)
    if field.has_default() and not field.unique:
        return field.get_default()
    if field.flatchoices:
        return next(value for value, _label in field.flatchoices if value not in (None, ""))
    for kind, value in _values(field, name, number):
        if isinstance(field, kind):
            return value
    return field.to_python(number)


def _values(field: Any, name: str, number: int) -> Iterator[tuple[type, Any]]:
    """For each kind of field, the more special ones first."""
    yield models.EmailField, f"{name}@example.com"
    yield models.URLField, f"https://example.com/{name}"
    # The end tells the names apart.
    text = name[-field.max_length :] if field.max_length else name
    yield from ((kind, text) for kind in (models.CharField, models.TextField, models.FileField))
    yield models.DateTimeField, _BEGINNING
    yield models.DateField, _BEGINNING.date()
    yield models.TimeField, _BEGINNING.time()
    yield models.DurationField, dt.timedelta(seconds=number)
    yield models.BooleanField, False
    yield models.UUIDField, uuid.uuid5(_PSEUDONYMS, f"{field.name} {name}")
    yield models.GenericIPAddressField, f"10.0.{number // 256}.{number % 256}"
    yield models.JSONField, {}
    yield models.BinaryField, name.encode()


def _prompts() -> dict[tuple[str, str], dict[str, Any]]:
    return {(s.name, model): _kept_prompt(s, model) for s in SUBJECTS for model in MODELS}


def _kept_prompt(subject: Any, model: str) -> dict[str, Any]:
    prompt = Prompt(
        model=model,
        parameters={"temperature": subject.temperature, "max_tokens": MAX_TOKENS},
        system_prompt=subject.system_prompt,
        tools=[subject.tool.schema()],
    )
    data, texts = prompt.started(None)
    Content.objects.keep(*texts.values())
    return {name: value for name, value in data.payload().items() if name != "message"}
