"""What stands before made-up conversations begin: users, their pseudonyms and kept prompts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import models

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
    users = model._default_manager
    user = users.filter(**{model.USERNAME_FIELD: identity}).first()
    if user is None:
        user = model(**user_fields(model, name))
        user.set_unusable_password()
        # Saved one by one: the project may have made something hang on a new user.
        user.save()
    # From the name, so that the same log comes out wherever it is generated.
    actor_id = uuid.uuid5(_PSEUDONYMS, name)
    return Person(
        user.pk, Actor.objects.get_or_create(user_id=user.pk, defaults={"id": actor_id})[0].id
    )


def user_fields(model: Any, name: str) -> dict[str, Any]:
    """The username and each required field of a user model, filled from a name.

    Raises TurnlogError if a required field is a relation: its row would have to be invented too.
    """
    names = dict.fromkeys([model.USERNAME_FIELD, *model.REQUIRED_FIELDS])
    return {each: value_for(model._meta.get_field(each), name) for each in names}


def value_for(field: Any, name: str) -> Any:
    """A value that the field accepts, different for each name if it is text."""
    number = int(name.rpartition("-")[2])
    if field.is_relation:
        raise TurnlogError(
            f"expected a user model whose required fields are plain values, found the relation"
            f" {field.name!r}; create users generated-001 and so on yourself"
        )
    if field.has_default():
        return field.get_default()
    if isinstance(field, models.EmailField):
        return f"{name}@example.com"
    if isinstance(field, models.CharField | models.TextField):
        # The end tells the names apart.
        return name[-field.max_length :] if field.max_length else name
    for kind, value in (
        (models.DateTimeField, _BEGINNING),
        (models.DateField, _BEGINNING.date()),
        (models.BooleanField, False),
        (models.UUIDField, uuid.uuid5(_PSEUDONYMS, f"{field.name} {name}")),
    ):
        if isinstance(field, kind):
            return value
    return field.to_python(number)


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
