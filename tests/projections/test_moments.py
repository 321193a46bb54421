"""Time travel: every past state is what the fold says, and cannot be had where there was none."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables.utils import AddableDict

from turnlog.core.errors import MomentError, TurnInProgress, UnknownConversation
from turnlog.events import attempt
from turnlog.events.listed import fold
from turnlog.events.log import read
from turnlog.events.models import Actor, Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.projections.models import ConversationMessage
from turnlog.projections.travel import moments, states
from turnlog.projections.travel.moments import as_of, diff, replay

SECOND = dt.timedelta(seconds=1)

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "record", "finish", "fail", "clear", "erase"]),
        st.integers(0, 2),  # which user; the last is a guest
        st.integers(0, 2),  # how many seconds have passed
    ),
    min_size=1,
    max_size=20,
)


class TheLaw(TestCase):
    """as_of(v) == fold(events up to v) == the state of a replay, whatever happened."""

    @given(ACTIONS)
    def test_as_of_is_replay_is_fold(self, actions: list[tuple[str, int, int]]) -> None:
        room, people = lived(actions)
        head = as_of(room)
        states = list(replay(room))
        assert [state.version for state in states] == list(range(1, head.version + 1))
        for version, state in enumerate(states, 1):
            assert state == as_of(room, version) == as_of(room.pk, version)
            assert state.entries == fold(read(room.pk, until=version))
            assert state.event == as_of(room, version).event
        assert head == states[-1]
        # The read model is the state at the head, and what one person sees there is the same.
        kept = ConversationMessage.objects.filter(conversation=room).order_by("version")
        assert list(kept.values_list("version", flat=True)) == [e.version for e in head.entries]
        for person in people:
            seen = ConversationMessage.objects.get_histories(room, person)
            assert head.of(person).messages == seen

    @given(ACTIONS)
    def test_a_time_is_found_as_a_linear_search_finds_it(
        self, actions: list[tuple[str, int, int]]
    ) -> None:
        room, _ = lived(actions)
        times = [event.recorded_at for event in read(room.pk)]
        near = dt.timedelta(microseconds=1)
        for at in {time + by for time in times for by in (-near, near * 0, near)}:
            expected = sum(time <= at for time in times)
            if expected:
                assert as_of(room, at=at).version == expected
            else:
                with pytest.raises(MomentError, match="from its first event on"):
                    as_of(room, at=at)

    @given(ACTIONS, st.data())
    def test_what_a_difference_says(
        self, actions: list[tuple[str, int, int]], data: st.DataObject
    ) -> None:
        room, _ = lived(actions)
        version = st.integers(1, as_of(room).version)
        a, b = data.draw(version), data.draw(version)
        there, back = diff(room, a, b), diff(room, b, a)
        assert (there.before, there.after) == (as_of(room, a), as_of(room, b))
        assert (there.added, there.removed) == (back.removed, back.added)
        kept = [entry for entry in there.before.entries if entry not in there.removed]
        assert sorted([*kept, *there.added], key=lambda e: e.version) == there.after.entries
        same = diff(room, a, a)
        assert len(same.added) == len(same.removed) == 0


def lived(actions: list[tuple[str, int, int]]) -> tuple[Conversation, list[Any]]:
    """A conversation in which these things happened, on a clock of its own; and the people."""
    users = get_user_model().objects
    people = [*(users.create_user(name) for name in ("ada", "bob")), None]
    room = Conversation.objects.create()
    started: list[tuple[uuid.UUID, Any]] = []
    clock = SimpleNamespace(now=timezone.now() - dt.timedelta(days=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt, "timezone", SimpleNamespace(now=lambda: clock.now))
        for number, (action, person, passed) in enumerate(actions):
            clock.now += passed * SECOND
            act(room, action, people[person], f"{action} {number}", started)
        if not Event.objects.filter(stream_id=room.pk).exists():
            room.clear()  # There must be some moment.
    return room, people


def act(room: Any, action: str, user: Any, text: str, started: list[Any]) -> None:
    if action == "start":
        prompt = Prompt(previous={"messages": []})
        try:
            started.append((room.start_turn(text, user=user, prompt=prompt).turn_id, user))
        except TurnInProgress:
            return
    elif action == "record":
        room.record_turn(text, AIMessage("ok"), [{"tool": "t", "output": text}], user=user)
    elif action == "clear":
        room.clear(by=user)
    elif action == "erase":
        erase_first_turn(room.pk)
    elif started:
        turn_id, user = started.pop()
        if action == "fail":
            room.fail_turn(turn_id, "failed")
        else:
            room.record_turn(HumanMessage(text), AIMessage("ok"), user=user, turn_id=turn_id)


def erase_first_turn(stream_id: int) -> None:
    events = Event.objects.filter(stream_id=stream_id)
    first = events.filter(type="MessageAppended", payload__isnull=False).order_by("version").first()
    if first is None:
        return
    Conversation.objects.get(pk=stream_id).erase([first.turn_id], reason="request 7")


pytestmark = pytest.mark.django_db


def texts(state: Any) -> list[str]:
    return [message.content for message in state.messages]


@pytest.fixture
def coffee(conversation: Any, user: Any) -> Any:
    """Versions 2 to 4 and 6 to 7 are turns, 5 is a clearing."""
    conversation.record_turn("a latte", AIMessage("here"), [{"tool": "t", "output": 1}], user=user)
    conversation.clear(by=user)
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    return conversation


def test_a_state_knows_its_moment_and_what_made_it(coffee: Any) -> None:
    state = as_of(coffee, 5)
    stored = Event.objects.get(version=5)
    assert (state.conversation_id, state.version) == (coffee.pk, 5)
    assert state.at == stored.recorded_at
    assert state.event == stored
    assert state.event.type == "ConversationCleared"
    assert texts(state) == []
    assert texts(as_of(coffee)) == ["a tea", "there"]


def test_messages_are_decoded_as_the_message_list_decodes_them(coffee: Any) -> None:
    human, tool, answer = as_of(coffee, 4).messages
    assert (human, answer) == (HumanMessage("a latte"), AIMessage("here"))
    assert isinstance(tool, AddableDict)
    assert tool["output"] == 1


def test_one_person_sees_their_own_turns(django_user_model: Any) -> None:
    room = Conversation.objects.create()
    ada, bob, eve = (django_user_model.objects.create_user(name) for name in ("a", "b", "e"))
    for who in (ada, None, bob):
        room.record_turn(f"by {who}", AIMessage("ok"), user=who)
    state = as_of(room)
    assert texts(state.of(ada)) == ["by a", "ok"]
    assert texts(state.of(None)) == texts(state.of(AnonymousUser())) == ["by None", "ok"]
    assert texts(state.of(eve)) == []
    assert not Actor.objects.filter(user=eve).exists()  # Looking leaves no trace.
    assert state.of(bob).version == state.version
    ada.delete()
    assert texts(as_of(room).of(None)) == ["by None", "ok"]


def test_the_states_of_a_replay_stay_what_they_were(coffee: Any) -> None:
    states = list(replay(coffee))
    assert [len(state.entries) for state in states] == [0, 1, 2, 3, 0, 1, 2]
    assert len({hash(state) for state in states}) == len(states)
    first = states[1].entries
    assert (first[0], first[-1], list(first[:5])) == (first[0], first[0], [first[0]])
    with pytest.raises(IndexError):
        first[1]
    assert repr(first) == repr([first[0]])
    assert first != "no list"


def test_a_replay_ends_where_it_is_told_to(coffee: Any) -> None:
    assert [state.version for state in replay(coffee, until=3)] == [1, 2, 3]
    until = as_of(coffee, 4).at
    assert [state.version for state in replay(coffee, until=until)][-1] == as_of(
        coffee, at=until
    ).version
    assert len(list(replay(coffee.pk))) == 7


def test_a_replay_goes_by_pages(
    coffee: Any, monkeypatch: Any, django_assert_num_queries: Any
) -> None:
    whole = list(replay(coffee))
    monkeypatch.setattr(moments, "_PAGE", 3)
    with django_assert_num_queries(1 + 3):
        assert list(replay(coffee)) == whole
    with django_assert_num_queries(1 + 1):
        next(replay(coffee))


def test_a_difference_is_between_versions_or_times(coffee: Any) -> None:
    early, late = as_of(coffee, 4), as_of(coffee)
    found = diff(coffee, 4, late.at)
    assert (found.before, found.after) == (early, late)
    assert [entry.version for entry in found.added] == [6, 7]
    assert [entry.version for entry in found.removed] == [2, 3, 4]
    assert diff(coffee, late.at, 4).added == found.removed


def test_what_is_erased_is_erased_in_every_past(coffee: Any) -> None:
    erase_first_turn(coffee.pk)
    assert texts(as_of(coffee, 4)) == []
    assert all("latte" not in str(state.entries) for state in replay(coffee))
    assert texts(as_of(coffee)) == ["a tea", "there"]


@pytest.mark.parametrize(
    "moment", [{}, {"version": 7}, {"at": timezone.now}], ids=["head", "version", "at"]
)
def test_a_moment_takes_four_queries(
    coffee: Any, moment: dict[str, Any], django_assert_num_queries: Any
) -> None:
    given = {name: value() if callable(value) else value for name, value in moment.items()}
    if "at" in given:
        given["at"] = as_of(coffee).at
    with django_assert_num_queries(4):
        as_of(coffee, **given)


def test_a_prompt_is_left_to_its_own_module(coffee: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(states, "prompt_of", lambda stream_id, version, call: (stream_id, version))
    assert as_of(coffee, 3).prompt() == (coffee.pk, 3)


UTC = dt.UTC
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "both": (
        {"version": 3, "at": dt.datetime(2026, 1, 1, tzinfo=UTC)},
        r"expected a version or a time, found both \(3 and 2026-01-01 00:00:00\+00:00\); pass one",
    ),
    "zero": ({"version": 0}, r"expected a version from 1 to 7 \(the head\), found 0"),
    "negative": ({"version": -1}, r"expected a version from 1 to 7 \(the head\), found -1"),
    "above the head": ({"version": 8}, r"expected a version from 1 to 7 \(the head\), found 8"),
    "far above": ({"version": 10**30}, rf"from 1 to 7 \(the head\), found {10**30}"),
    "bool": ({"version": True}, "expected a whole number from 1 on as version, found True"),
    "float": ({"version": 2.0}, "expected a whole number from 1 on as version, found 2.0"),
    "naive": (
        {"at": dt.datetime(2026, 1, 1)},
        "expected a time with its zone, found 2026-01-01T00:00:00 without one; add",
    ),
    "text": ({"at": "2026-01-01"}, "expected a datetime with a time zone, found '2026-01-01'"),
    "before": (
        {"at": dt.datetime(2020, 1, 1, tzinfo=UTC)},
        r"from its first event on, at 2\d{3}-.*, found 2020-01-01T00:00:00\+00:00, when it did",
    ),
    "before all time": (
        {"at": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=9)))},
        r"found 0001-01-01T00:00:00\+09:00, when it did not exist yet",
    ),
    "future": (
        {"at": dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-9)))},
        "expected a time in the past, found 9999-12-31T23:00:00-09:00, which is in the fut",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_moment_that_there_is_not_is_one_sentence(coffee: Any, what: str) -> None:
    moment, sentence = BAD[what]
    with pytest.raises(MomentError, match=sentence) as caught:
        as_of(coffee, **moment)
    assert str(caught.value).startswith(f"conversation {coffee.pk}: ")
    assert caught.value.stream_id == coffee.pk
    if len(moment) == 1:
        [bad] = moment.values()
        if what != "text":  # By its type alone it would be a version there.
            with pytest.raises(MomentError, match=sentence):
                replay(coffee, until=bad)
            with pytest.raises(MomentError, match=sentence):
                diff(coffee, 1, bad)


@pytest.mark.parametrize(
    "moment", [{}, {"version": 1}, {"at": dt.datetime(2026, 1, 1, tzinfo=UTC)}]
)
def test_a_conversation_without_events_has_no_moments(
    conversation: Any, moment: dict[str, Any]
) -> None:
    with pytest.raises(MomentError, match="expected at least one event, found none"):
        as_of(conversation, **moment)
    with pytest.raises(
        UnknownConversation, match=f"there is no conversation {conversation.pk + 1}"
    ):
        as_of(conversation.pk + 1, **moment)


def test_an_event_of_a_clock_that_was_fast_can_be_asked_for(coffee: Any, monkeypatch: Any) -> None:
    ahead = timezone.now() + dt.timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(attempt, "timezone", SimpleNamespace(now=lambda: ahead))
        coffee.clear()
    state = as_of(coffee)
    assert state.at == ahead
    assert as_of(coffee, at=ahead) == as_of(coffee, at=ahead - dt.timedelta(0)) == state
    assert as_of(coffee, at=ahead - SECOND).version == 7
    with pytest.raises(MomentError, match="in the future"):
        as_of(coffee, at=ahead + SECOND)


def test_versions_are_dated_in_order(coffee: Any) -> None:
    states = list(replay(coffee))
    assert all(earlier.at <= later.at for earlier, later in pairwise(states))


WITHOUT_THE_CHAT = """
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "turnlog.core",
        "turnlog.events",
        "turnlog.projections",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command

call_command("migrate", verbosity=0)
from langchain_core.messages import AIMessage

from turnlog.events.models import Conversation
from turnlog.projections import as_of, diff, replay

conversation = Conversation.objects.create()
conversation.record_turn("a", AIMessage("b"), [{"tool": "t", "output": 1}])
assert len(as_of(conversation).messages) == 3
assert [len(state.messages) for state in replay(conversation)] == [0, 1, 2, 3]
assert len(diff(conversation, 1, 4).added) == 3
assert len(as_of(conversation.fork()).messages) == 3
call_command("replay_conversation", conversation.pk)
talkative = ("openai", "langchain_openai", "turnlog.consumers", "channels", "httpx")
print(sorted(name for name in sys.modules if name.split(".")[0] in talkative
             or name.startswith("turnlog.consumers")))
"""


@pytest.mark.slow_once
def test_it_calls_nothing_and_imports_nothing_that_could() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_CHAT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
