"""The one reader of ``settings.TURNLOG``: typed, with defaults.

Every key is optional. `problems()` says what is wrong with the dictionary; the system checks
print it at start-up, and `get()` raises it where a project runs without checks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .errors import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """What a project may set in ``TURNLOG``; keys are these names in capitals."""

    max_message_length: int = 32_768
    """Characters (code points) a person may send in one message."""
    history_turns: int = 50
    """Turns sent when a page opens; older ones come on request."""
    max_tool_rounds: int = 10
    """Calls of the model within one turn, before the turn fails."""
    database_threads: int = 10
    """Threads, hence connections, for the database work of async code, in each process."""
    runner_timeout: float = 20.0
    """Seconds without a heartbeat after which another host's open turn counts as interrupted."""
    shutdown_grace: float = 20.0
    """Seconds that running turns are given to finish when the server is told to stop."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, as ``https://host:port``, that may open a socket besides ALLOWED_HOSTS."""


def problems(raw: Any) -> list[str]:
    """One sentence for each thing wrong with a TURNLOG setting."""
    if not isinstance(raw, Mapping):
        return [f"TURNLOG must be a dictionary, found {type(raw).__name__}"]
    known = {field.name.upper(): field for field in fields(Settings)}
    found = []
    for key, value in raw.items():
        field = known.get(key)
        if field is None:
            found.append(f"TURNLOG has an unknown key {key!r}; known are: {', '.join(known)}")
        elif isinstance(field.default, tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                found.append(f"TURNLOG[{key!r}] must be a list of strings, found {value!r}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            found.append(f"TURNLOG[{key!r}] must be a number above 0, found {value!r}")
        elif isinstance(field.default, int) and not isinstance(value, int):
            found.append(f"TURNLOG[{key!r}] must be a whole number, found {value!r}")
    return found


@functools.cache
def get() -> Settings:
    """The project's settings over the defaults. Raises ConfigurationError."""
    raw = getattr(django_settings, "TURNLOG", {})
    if wrong := problems(raw):
        raise ConfigurationError("; ".join(wrong))
    values = {key.lower(): value for key, value in raw.items()}
    if "allowed_origins" in values:
        values["allowed_origins"] = tuple(values["allowed_origins"])
    return Settings(**values)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TURNLOG":
        get.cache_clear()


setting_changed.connect(_forget)
