"""Older events become events of today, step by step, and what cannot is said in one sentence."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.samples.older import Rated, evolving, stored_type
from turnlog.core.errors import (
    ConfigurationError,
    UnknownEventType,
    UnreadableEvent,
    UpcastFailed,
)
from turnlog.events import upcasters
from turnlog.events.models import Event
from turnlog.events.store.append_only import _definitions
from turnlog.events.types import EVENT_TYPES, ConversationCleared, EventData
from turnlog.events.upcasters import FIXED_NAMES, event_data, problems, stored_as, upcast, upcaster
from turnlog.projections.messages.projection import MessagesProjection

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _registry_of_its_own() -> Iterator[None]:
    with mock.patch.dict(upcasters._steps), mock.patch.dict(EVENT_TYPES):
        yield


def at_schema(number: int) -> type[EventData]:
    """The type `Noted`, which is known, at this schema."""

    class Noted(EventData):
        schema: ClassVar[int] = number

        @classmethod
        def from_payload(cls, payload: Any) -> Self:
            return cls()

    EVENT_TYPES["Noted"] = Noted
    return Noted


def adding(number: int) -> Callable[[Any], Any]:
    def step(payload: Any) -> Any:
        return {**payload, f"since {number}": [payload]}

    return step


@given(st.integers(2, 6), st.dictionaries(st.text(), JSON, max_size=3), st.data())
def test_steps_compose_and_leave_their_input_as_it_is(
    today: int, payload: Any, data: st.DataObject
) -> None:
    between = data.draw(st.integers(1, today))
    with mock.patch.dict(upcasters._steps), mock.patch.dict(EVENT_TYPES):
        for schema in range(1, today):
            upcaster("Noted", schema)(adding(schema))
        before = copy.deepcopy(payload)
        at_schema(between)
        half = upcast("Noted", 1, payload)
        assert half[:2] == ("Noted", between)
        at_schema(today)
        whole = upcast("Noted", 1, payload)
        assert whole == upcast(*half)
        assert whole[:2] == ("Noted", today)
        assert payload == before


@given(st.sampled_from(sorted(EVENT_TYPES)), JSON)
def test_a_payload_of_today_passes_as_it_is(name: str, payload: Any) -> None:
    with evolving():
        schema = EVENT_TYPES[name].schema
        result = upcast(name, schema, payload)
        assert result[:2] == (name, schema)
        assert result[2] is payload


def test_a_renamed_type_begins_again_at_schema_1() -> None:
    at_schema(2)
    upcaster("Jotted", 1)(adding(1))
    upcaster("Jotted", 2, becomes="Noted")(adding(2))
    upcaster("Noted", 1)(lambda payload: sorted(payload))
    assert upcast("Jotted", 1, {}) == ("Noted", 2, ["since 1", "since 2"])
    assert stored_as(["Noted"]) == {"Noted", "Jotted"}
    assert problems() == []


def test_a_split_type_is_what_the_function_says() -> None:
    with evolving():
        assert upcast("Judged", 1, {"stars": 1, "words": "cold"}) == (
            "Commented",
            1,
            {"words": "cold"},
        )
        assert upcast("Judged", 1, {"stars": 1, "words": ""}) == (
            "Rated",
            3,
            {"points": 2, "by": "human"},
        )
        assert upcasters.upcast_erased("Judged", 1) == ("Rated", 3)
        assert stored_as(["Rated"]) == {"Rated", "Scored", "Judged"}
        assert stored_as(["Commented"]) == {"Commented", "Judged"}
        assert stored_as(["TurnStarted"]) == {"TurnStarted"}
        assert problems() == []


def refused(name: str, schema: int, payload: Any = None) -> str:
    with pytest.raises(UnreadableEvent) as caught:
        event_data(name, schema, payload)
    assert (caught.value.type_name, caught.value.schema) == (name, schema)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_known_is_named() -> None:
    assert "found Sung schema 1; a newer version wrote it" in refused("Sung", 1)
    assert "found ConversationCleared schema 2;" in refused("ConversationCleared", 2, {})
    assert "found ConversationCleared schema 0;" in refused("ConversationCleared", 0, {})
    message = refused("ConversationCleared", 1, {"reason": "", "mood": "good"})
    assert re.search("ConversationCleared schema 1 with other fields: .*'mood'", message)
    for name, schema in (("Sung", 1), ("ConversationCleared", 2)):
        with pytest.raises(UnknownEventType):
            upcast(name, schema, {})


def test_an_upcaster_that_raises_is_named_with_its_cause() -> None:
    at_schema(2)

    @upcaster("Noted", 1)
    def without_stars(payload: Any) -> Any:
        return payload["stars"]

    with pytest.raises(UpcastFailed, match=r"stars\(\) raised KeyError: 'stars';") as caught:
        upcast("Noted", 1, {})
    assert isinstance(caught.value.__cause__, KeyError)
    assert (caught.value.type_name, caught.value.schema) == ("Noted", 1)


def test_upcasters_that_lead_nowhere() -> None:
    at_schema(3)
    upcaster("Noted", 1)(adding(1))
    assert "there is none for Noted schema 2" in refused("Noted", 1, {})
    assert any("expected an upcaster for Noted schema 2" in problem for problem in problems())
    upcaster("Jotted", 1, becomes="Scribbled")(adding(1))
    assert "there is none for Scribbled schema 1" in refused("Jotted", 1, {})
    upcaster("Scribbled", 1, becomes="Jotted")(adding(1))
    assert "in a circle through Jotted schema 1" in refused("Jotted", 1, {})
    assert sum("lead back to it" in problem for problem in problems()) == 2


def test_what_an_upcaster_gives_has_to_be_an_event_of_today() -> None:
    with evolving():
        upcasters._steps.pop(("Rated", 2))
        upcaster("Rated", 2)(lambda payload: {"stars": 3})
        assert re.search("their result is not a valid Rated: .*'stars'", refused("Rated", 2, {}))
        upcasters._steps.pop(("Judged", 1))
        upcaster("Judged", 1, becomes=("Rated", "Commented"))(lambda payload: ("Sung", payload))
        assert "returned 'Sung' where Rated or Commented was expected" in refused("Judged", 1)
        upcasters._steps.pop(("Judged", 1))
        upcaster("Judged", 1, becomes=("Rated", "Commented"))(lambda payload: None)
        assert "raised TypeError" in refused("Judged", 1)


def test_an_event_says_where_it_is() -> None:
    with evolving():
        # Of too few fields, so that no class takes it; and of what cannot be stored.
        event = Event(stream_id=7, version=3, type="Rated", schema=2, payload='{"stars":1}')
        for read in (lambda: event.data, lambda: event.current):
            with pytest.raises(UpcastFailed, match=r"^conversation 7, version 3: expected the"):
                read()
        upcasters._steps.pop(("Rated", 2))
        upcaster("Rated", 2)(lambda payload: {"points": object(), "by": ""})
        with pytest.raises(UpcastFailed, match=r"^conversation 7, version 3: .* is not JSON: "):
            _ = event.current
    unknown = Event(stream_id=7, version=4, type="Sung", schema=1, payload=None)
    assert unknown.data is None
    with pytest.raises(UnknownEventType, match=r"^conversation 7, version 4: ") as caught:
        _ = unknown.current
    # The workers of a rebuild are processes.
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (UnknownEventType, str(caught.value))
    assert (again.type_name, again.schema, again.stream_id, again.version) == ("Sung", 1, 7, 4)


def test_registered_twice() -> None:
    upcaster("Noted", 1)(adding(1))
    with pytest.raises(ConfigurationError, match="expected one upcaster for Noted schema 1, found"):
        upcaster("Noted", 1)(adding(2))


def test_what_is_wrong_is_said_by_a_system_check() -> None:
    assert upcasters.check_upcasters(None) == []
    upcaster("ConversationCleared", 1)(adding(1))
    upcaster("TurnBegun", 1, becomes="TurnStarted")(adding(1))
    found = [error.msg for error in upcasters.check_upcasters(None)]
    assert len(found) == 2
    assert "ConversationCleared is at schema 1" in found[0]
    assert "are used in queries, indexes and triggers" in found[1]
    assert {error.id for error in upcasters.check_upcasters(None)} == {"turnlog.E006"}


def test_names_in_sql_indexes_and_triggers_are_fixed() -> None:
    conditions = [str(index.condition) for index in Event._meta.indexes]
    sql = [
        MessagesProjection.insert,
        *(str(_definitions(vendor)) for vendor in ("postgresql", "sqlite")),
        *conditions,
    ]
    named = {name for name in EVENT_TYPES for text in sql if f"'{name}'" in text}
    assert named <= set(FIXED_NAMES)
    assert {"TurnStarted", "MessageAppended", "PayloadErased"} <= named


@pytest.mark.django_db
def test_the_stored_bytes_stay_and_verify(conversation: Any) -> None:
    from turnlog.events.log import NewEvent, append, read
    from turnlog.events.proof.verification import Verifier

    rated = stored_type("Rated", 1)({"stars": 4})
    append(conversation.pk, [NewEvent(rated), NewEvent(ConversationCleared("done"))])
    with evolving():
        [_, event, _] = read(conversation.pk)
        assert event.data == Rated(8, "human")
        current = event.current
        assert (current.type, current.schema) == ("Rated", 3)
        assert current.payload == '{"points":8,"by":"human"}'
        assert (event.schema, event.payload) == (1, '{"stars":4}')
        assert list(Verifier().conversation(conversation.pk)) == []
