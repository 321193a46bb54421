"""What stands before made-up conversations begin: users, their pseudonyms and kept prompts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model

from ..prompt import Prompt
from ..tables.actor import Actor
from .texts import MODELS, SUBJECTS

MAX_TOKENS = 4096
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
    users = get_user_model()._default_manager
    field = get_user_model().USERNAME_FIELD
    user = users.filter(**{field: name}).first()
    if user is None:
        user = get_user_model()(**{field: name})
        user.set_unusable_password()
        # Saved one by one: the project may have made something hang on a new user.
        user.save()
    # From the name, so that the same log comes out wherever it is generated.
    actor_id = uuid.uuid5(_PSEUDONYMS, name)
    return Person(
        user.pk, Actor.objects.get_or_create(user_id=user.pk, defaults={"id": actor_id})[0].id
    )


def _prompts() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (subject.name, model): Prompt(
            model=model,
            parameters={"temperature": subject.temperature, "max_tokens": MAX_TOKENS},
            system_prompt=subject.system_prompt,
            tools=[subject.tool.schema()],
        ).keep()
        for subject in SUBJECTS
        for model in MODELS
    }
