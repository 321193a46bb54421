"""Users by their names, whatever the project's user model is."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError


def users_named(name: str) -> list[Any]:
    """The users with exactly this username: one, or none."""
    model: Any = get_user_model()
    if "\0" in name:
        return []  # PostgreSQL's text has none, and would complain.
    try:
        return list(model._default_manager.filter(**{model.USERNAME_FIELD: name}))
    except (TypeError, ValueError, OverflowError, ValidationError):
        return []  # Not every text is a username where these are numbers, for example.
