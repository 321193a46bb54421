"""Event types of a made-up past, so that upcasters are tested before turnlog has any of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import mock

from turnlog.events import upcasters
from turnlog.events.types import EVENT_TYPES, EventData


@dataclass(frozen=True, slots=True)
class Rated(EventData):
    """Today's: `points` of ten, and who gave them."""

    schema: ClassVar[int] = 3
    points: int
    by: str


@dataclass(frozen=True, slots=True)
class Commented(EventData):
    words: str


def stored_type(name: str, schema: int) -> type[EventData]:
    """A class as it was: it stores its dictionary under this name and schema."""

    def init(self: Any, document: Any) -> None:
        self.document = document

    members = {"schema": schema, "__init__": init, "payload": lambda self: self.document}
    return type(name, (EventData,), members)


Rated1 = stored_type("Rated", 1)
"""`{"stars": 4}`, of five."""
Rated2 = stored_type("Rated", 2)
"""`{"points": 8}`, of ten."""
Scored1 = stored_type("Scored", 1)
"""What `Rated` was called at first."""
Judged1 = stored_type("Judged", 1)
"""Both `Rated` and `Commented`: `{"stars": 4, "words": ""}`."""


def points_for_stars(payload: Any) -> Any:
    return {"points": 2 * payload["stars"]}


def by_whom(payload: Any) -> Any:
    return {**payload, "by": "human"}


def called_rated(payload: Any) -> Any:
    return payload


def rated_or_commented(payload: Any) -> Any:
    if payload["words"]:
        return "Commented", {"words": payload["words"]}
    return "Rated", {"stars": payload["stars"]}


@contextmanager
def evolving() -> Iterator[None]:
    """Within it these types are turnlog's, and their upcasters are registered."""
    with (
        mock.patch.dict(EVENT_TYPES, {"Rated": Rated, "Commented": Commented}),
        mock.patch.dict(upcasters._steps),
    ):
        upcasters.upcaster("Rated", 1)(points_for_stars)
        upcasters.upcaster("Rated", 2)(by_whom)
        upcasters.upcaster("Scored", 1, becomes="Rated")(called_rated)
        upcasters.upcaster("Judged", 1, becomes=("Rated", "Commented"))(rated_or_commented)
        yield
