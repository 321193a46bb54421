"""Reads old events as events of today: pure functions from one schema's payload to the next.

What is stored never changes. If an event has an older schema, or a type that was renamed or split,
its upcasters turn it into one of today's, step by step, each time it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core import checks

from ..core.errors import ConfigurationError, UnknownEventType, UpcastFailed
from .types import EVENT_TYPES, EventData

F = TypeVar("F", bound=Callable[[Any], Any])

FIXED_NAMES = (
    "ConversationOpened",
    "TitleChanged",
    "OwnerChanged",
    "TurnStarted",
    "MessageAppended",
    "ModelCallRecorded",
    "ModelCallFailed",
    "ToolOutputRecorded",
    "ToolApprovalRequested",
    "ToolApprovalDecided",
    "TurnResumed",
    "HistorySummarized",
    "ConversationCleared",
    "BranchChosen",
    "ConversationForked",
    "PayloadErased",
    "HoldPlaced",
    "HoldLifted",
    "SideStreamOpened",
    "AccessRecorded",
    "QueueSet",
    "ItemsAdded",
    "ItemMoved",
    "ItemJudged",
)
"""Types whose names are used in queries, indexes and triggers, where no upcaster runs."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one schema of one type becomes. `chooses`: the function picks one of `becomes`."""

    function: Callable[[Any], Any]
    becomes: tuple[str, ...]
    chooses: bool


_steps: dict[tuple[str, int], Step] = {}


def upcaster(
    type_name: str, schema: int, *, becomes: str | tuple[str, ...] | None = None
) -> Callable[[F], F]:
    """Decorator: register a function from the payload of one schema of a type to that of the next.

    The function gets a parsed JSON value, must not change it in place, and returns a JSON value
    that depends on nothing else. With `becomes="Name"`, the type has that name from there on, and
    its schemas begin again at 1. With several names, the function returns `(name, payload)`; an
    erased event, which has no payload to choose by, counts as the first of them.

    Raises ConfigurationError if this type and schema has an upcaster already.
    """

    def register(function: F) -> F:
        there = _steps.get((type_name, schema))
        if there is not None:
            raise ConfigurationError(
                f"expected one upcaster for {type_name} schema {schema}, found"
                f" {_name(there.function)} and {_name(function)}; remove one of them"
            )
        names = (becomes,) if isinstance(becomes, str) else becomes or (type_name,)
        _steps[type_name, schema] = Step(function, names, not isinstance(becomes, str | None))
        return function

    return register


def upcast(type_name: str, schema: int, payload: Any) -> tuple[str, int, Any]:
    """A stored event's type, schema and payload in today's form; unchanged if that is theirs.

    Raises UnknownEventType if the type or schema is not known, UpcastFailed if the upcasters do not
    lead to a type and schema of today.
    """
    name, today, payload = _walked(type_name, schema, payload, _applied)
    if (name, today) != (type_name, schema):
        try:
            EVENT_TYPES[name].from_payload(payload)
        except TypeError as error:
            why = f"their result is not a valid {name}: {error}"
            raise UpcastFailed(type_name, schema, why) from error
    return name, today, payload


def upcast_erased(type_name: str, schema: int) -> tuple[str, int]:
    """The same for an event whose payload is erased: its type and schema. Raises the same."""
    return _walked(type_name, schema, None, lambda step, payload: (step.becomes[0], None))[:2]


def stored_as(names: Iterable[str]) -> set[str]:
    """The stored type names whose events may be of these types today."""
    found = set(names)
    while more := {old for (old, _), step in _steps.items() if found & {*step.becomes}} - found:
        found |= more
    return found


def known_names() -> set[str]:
    """The stored type names whose events may be of any type of today."""
    return stored_as(EVENT_TYPES)


def registered() -> bool:
    """Whether there is any upcaster; without one, events are read as they are stored."""
    return bool(_steps)


def is_current(type_name: str, schema: int) -> bool:
    """Whether events are written with this type and schema today."""
    cls = EVENT_TYPES.get(type_name)
    return cls is not None and cls.schema == schema


def _walked(
    type_name: str, schema: int, payload: Any, take: Callable[[Step, Any], tuple[str, Any]]
) -> tuple[str, int, Any]:
    stored = place = (type_name, schema)
    passed = set()
    while not is_current(*place):
        if place in passed:
            raise UpcastFailed(*stored, f"they lead in a circle through {_named(place)}")
        passed.add(place)
        step = _steps.get(place)
        if step is None:
            raise _no_step(stored, place)
        try:
            name, payload = take(step, payload)
        except Exception as error:
            first_line = (str(error).strip().splitlines() or [""])[0]
            raise UpcastFailed(
                *stored,
                f"{_name(step.function)} raised {type(error).__name__}: {first_line}",
            ) from error
        if name not in step.becomes:
            expected = " or ".join(step.becomes)
            raise UpcastFailed(
                *stored, f"{_name(step.function)} returned {name!r} where {expected} was expected"
            )
        place = _next(place, name)
    return *place, payload


def _applied(step: Step, payload: Any) -> tuple[str, Any]:
    if not step.chooses:
        return step.becomes[0], step.function(payload)
    name, payload = step.function(payload)
    return name, payload


def _next(place: tuple[str, int], name: str) -> tuple[str, int]:
    return name, place[1] + 1 if name == place[0] else 1


def _no_step(stored: tuple[str, int], place: tuple[str, int]) -> UnknownEventType | UpcastFailed:
    cls = EVENT_TYPES.get(place[0])
    if place == stored and (cls is None or not 1 <= place[1] < cls.schema):
        return UnknownEventType(*place)
    return UpcastFailed(*stored, f"there is none for {_named(place)}")


def _named(place: tuple[str, int]) -> str:
    return f"{place[0]} schema {place[1]}"


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}()"


def event_data(type_name: str, schema: int, payload: Any) -> EventData:
    """The typed event of a stored row, whatever its schema.

    Raises UnknownEventType and UpcastFailed.
    """
    cls = EVENT_TYPES.get(type_name)
    if cls is None or cls.schema != schema:
        name, _, payload = upcast(type_name, schema, payload)
        return EVENT_TYPES[name].from_payload(payload)
    try:
        data = cls.from_payload(payload)
        data.check()
    except TypeError as error:
        raise UnknownEventType(type_name, schema, f" with other fields: {error}") from error
    return data


def problems() -> list[str]:
    """One sentence for each reason why an older event cannot become one of today's."""
    found = []
    for name, cls in EVENT_TYPES.items():
        for schema in range(1, cls.schema):
            if (name, schema) not in _steps:
                found.append(
                    f"{name} is at schema {cls.schema}: expected an upcaster for {name} schema"
                    f" {schema}, found none; write one, as docs/evolution.md shows"
                )
    for place, step in _steps.items():
        where = f"{_name(step.function)}, the upcaster for {_named(place)}"
        found += [f"{where}: {wrong}" for wrong in _problems(place, step)]
    return found


def _problems(place: tuple[str, int], step: Step) -> Iterator[str]:
    type_name, schema = place
    cls = EVENT_TYPES.get(type_name)
    if schema < 1 or (cls is not None and schema >= cls.schema):
        today = "not a type of today" if cls is None else f"at schema {cls.schema}"
        yield f"expected an older schema, from 1 on; {type_name} is {today}"
        return
    for name in step.becomes:
        if name != type_name and {name, type_name} & {*FIXED_NAMES}:
            yield (
                f"expected the same type, but it becomes {name}; the names"
                f" {', '.join(FIXED_NAMES)} are used in queries, indexes and triggers"
            )
        if not is_current(*_next(place, name)) and _next(place, name) not in _steps:
            yield f"it becomes {_named(_next(place, name))}, which has no upcaster"
    if place in _reached(place):
        yield "the upcasters after it lead back to it"


def _reached(start: tuple[str, int]) -> set[tuple[str, int]]:
    """The types and schemas to which the steps from a place may lead."""
    reached: set[tuple[str, int]] = set()
    waiting = [start]
    while waiting:
        place = waiting.pop()
        step = _steps.get(place)
        if step is None or is_current(*place):
            continue
        after = {_next(place, name) for name in step.becomes} - reached
        reached |= after
        waiting += after
    return reached


def check_upcasters(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.E006: older events cannot be read, or could be mistaken for others."""
    return [checks.Error(problem, id="turnlog.E006") for problem in problems()]
