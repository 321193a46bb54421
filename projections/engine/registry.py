"""The registered projections by name: turnlog's own, and those of the project's apps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from django.core import checks
from django.db import router

from ...core.errors import ConfigurationError, UnknownProjection
from ...events import hooks
from ...events.tables.database import log_database
from ...events.types import EVENT_TYPES
from .making import Inline
from .projection import Projection

P = TypeVar("P", bound=type[Projection])

_registered: list[Projection] = []


def register(projection: P) -> P:
    """Class decorator: register a projection.

    When Django starts, turnlog imports the module `projections` of each installed app.
    """
    made = projection()
    _registered.append(made)
    if made.inline:
        hooks.inline_projections.append(Inline(made, made.insert))
    return projection


def registered() -> list[Projection]:
    """Return all projections in the order of their registration.

    Raises ConfigurationError if one of them cannot work.
    """
    if wrong := problems():
        raise ConfigurationError("; ".join(wrong))
    return list(_registered)


def named(names: Sequence[str]) -> list[Projection]:
    """Return the projections of these names, or all of them if there is no name.

    Raises UnknownProjection if a name is not registered.
    """
    known = {projection.name: projection for projection in registered()}
    for name in names:
        if name not in known:
            raise UnknownProjection(name, sorted(known))
    return [known[name] for name in dict.fromkeys(names or known)]


def problems() -> list[str]:
    """Return one sentence for each problem that keeps a registered projection from working."""
    names = [projection.name for projection in _registered]
    found = [
        f"projection {name!r} is registered {names.count(name)} times; names must differ"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for projection in _registered:
        found += [f"{type(projection).__qualname__}: {wrong}" for wrong in _problems(projection)]
    return found


def _problems(projection: Projection) -> list[str]:
    found = []
    if not re.fullmatch(r"[a-z0-9_]{1,64}", projection.name):
        found.append(
            "`name` must be 1 to 64 lower-case letters, digits and underscores, found"
            f" {projection.name!r}"
        )
    unknown = [name for name in projection.handles if name not in EVENT_TYPES]
    if unknown or not projection.handles or isinstance(projection.handles, str):
        found.append(
            f"`handles` must name event types, found {projection.handles!r}; known types are:"
            f" {', '.join(EVENT_TYPES)}"
        )
    if type(projection.version) is not int or projection.version < 1:
        found.append(f"`version` must be a whole number above 0, found {projection.version!r}")
    if projection.on_error not in ("stop", "park"):
        found.append(f"`on_error` must be 'stop' or 'park', found {projection.on_error!r}")
    if projection.inline and projection.on_error != "stop":
        found.append(
            "`on_error` is for async projections; if an inline one raises, the append fails"
        )
    if _inherits(projection, "apply") and not projection.insert:
        found.append("write `apply(self, events)`, which makes rows from events")
    if _inherits(projection, "reset") and projection.model is None:
        found.append("set `model`, or write `reset(self, streams)`, which deletes its rows")
    if projection.model is not None and not _has_field(projection):
        found.append(
            f"`conversation_field` must name a field of {projection.model.__name__}, found"
            f" {projection.conversation_field!r}"
        )
    if projection.model is not None:
        using = router.db_for_write(projection.model)
        if using != log_database():
            # Rows and checkpoint are written in one transaction.
            found.append(
                f"{projection.model.__name__} must be in the log's database, {log_database()!r},"
                f" but the database routers write it to {using!r}"
            )
    if _inherits(projection, "erase"):
        found.append(
            "write `erase(self, events)`, which removes what was erased from the log"
            " (`erase = Projection.apply_again` rebuilds the rows)"
        )
    return found


def _has_field(projection: Projection) -> bool:
    fields = projection.model._meta.concrete_fields if projection.model else ()
    return projection.conversation_field in {n for f in fields for n in (f.name, f.attname)}


def _inherits(projection: Projection, method: str) -> bool:
    return getattr(type(projection), method) is getattr(Projection, method)


def check_projections(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.E005 for each projection that cannot work as it is written."""
    return [checks.Error(problem, id="turnlog.E005") for problem in problems()]
