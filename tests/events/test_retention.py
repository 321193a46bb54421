"""Retention: what is old enough is erased by the settings' policy, once."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from langchain_core.messages import AIMessage

from tests.events.test_commands_of_erasure import run
from tests.events.test_erasing import WORD, events, failed, require_sound, said
from tests.everywhere import places_of
from turnlog.core.errors import ConfigurationError
from turnlog.events import attempt
from turnlog.events.erasure import retention
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


@pytest.fixture
def clock(monkeypatch: Any) -> Any:
    """The log's clock, 100 days behind to begin with."""
    clock = SimpleNamespace(now=timezone.now() - 100 * DAY)
    monkeypatch.setattr(attempt, "timezone", SimpleNamespace(now=lambda: clock.now))
    return clock


def policy(settings: Any, **days: int) -> None:
    settings.TURNLOG = {"RETENTION": days}


def applied(*arguments: str, code: int = 0) -> dict[str, Any]:
    return run("apply_retention", *arguments, code=code)


def test_without_a_policy_there_is_nothing_to_apply() -> None:
    with pytest.raises(ConfigurationError, match="there is no policy"):
        retention.due()
    with pytest.raises(CommandError, match="there is no policy") as caught:
        call_command("apply_retention")
    assert caught.value.returncode == 2


def test_old_turns_are_erased_and_others_not(conversation: Any, clock: Any, settings: Any) -> None:
    old = [said(conversation), failed(conversation)]
    clock.now += 60 * DAY
    young = conversation.record_turn("young", AIMessage("ok"))[-1].turn_id
    conversation.fork()
    policy(settings, turns=50)
    dry = applied("--dry-run")
    assert (dry["turns"], dry["conversations"]) == ({"turns": 2}, {"turns": 1})
    assert places_of(WORD) != []
    assert applied()["turns"] == {"turns": 2}
    assert places_of(WORD) == []
    erased = events(conversation).filter(payload=None)
    assert set(erased.values_list("turn_id", flat=True)) == set(old)
    record = events(conversation).last()
    assert (record.data.reason, record.actor_id) == ("retention: turns older than 50 days", None)
    assert not events(conversation).filter(turn_id=young, payload=None).exists()
    before = Event.objects.count()
    assert applied()["turns"] == {}
    assert Event.objects.count() == before
    require_sound(conversation)


def test_a_policy_takes_nothing_that_is_not_old_enough(
    conversation: Any, clock: Any, settings: Any
) -> None:
    """A younger turn may quote an old one, and has its own time."""
    turns = []
    for number in range(4):
        summary = {"_type": "SystemMessage", "_value": {"content": f"Summary {number}"}}
        prompt = Prompt("model", previous={"messages": [summary]})
        turn = conversation.start_turn("and?", prompt=prompt)
        conversation.record_turn("and?", AIMessage("so"), turn_id=turn.turn_id)
        turns.append(turn.turn_id)
        clock.now += 20 * DAY
    policy(settings, turns=70)
    assert applied("--dry-run")["turns"] == applied()["turns"] == {"turns": 2}
    erased = events(conversation).filter(payload=None)
    assert set(erased.values_list("turn_id", flat=True)) == set(turns[:2])


def test_of_failed_turns_only_those_without_an_answer(
    conversation: Any, clock: Any, settings: Any
) -> None:
    kept, late, gone = said(conversation), failed(conversation), failed(conversation)
    conversation.record_turn("late", AIMessage("ok"), turn_id=late)
    policy(settings, failed_turns=50)
    assert applied()["turns"] == {"failed_turns": 1}
    erased = events(conversation).filter(payload=None)
    assert set(erased.values_list("turn_id", flat=True)) == {gone}
    assert kept


def test_a_turn_is_as_old_as_the_last_of_it(conversation: Any, clock: Any, settings: Any) -> None:
    turn_id = failed(conversation)
    clock.now += 60 * DAY
    conversation.record_turn("late", AIMessage("ok"), turn_id=turn_id)
    policy(settings, turns=50)
    assert applied()["turns"] == {}


def test_conversations_go_whole_once_nothing_is_said_there(
    user: Any, clock: Any, settings: Any
) -> None:
    quiet, lively, empty = (Conversation.objects.create(user=user, title=WORD) for _ in range(3))
    assert empty
    said(quiet)
    said(lively)
    clock.now += 60 * DAY
    lively.record_turn("still here", AIMessage("ok"))
    # An erasure or a hold is not something said.
    quiet.hold(reason="case 12")
    quiet.lift_hold(reason="settled")
    policy(settings, conversations=50)
    assert applied()["conversations"] == {"conversations": 1}
    assert [event.type for event in events(quiet).exclude(payload=None)] == [
        "HoldPlaced",
        "HoldLifted",
        "PayloadErased",
    ]
    assert Conversation.objects.get(pk=quiet.pk).title == ""
    assert not events(lively).filter(payload=None).exists()
    assert Conversation.objects.get(pk=empty.pk).title == WORD  # It was made today.
    clock.now += 60 * DAY
    before = Event.objects.count()
    found = list(retention.due(clock.now))
    assert quiet.pk not in {each.conversation for each in found}
    assert Event.objects.count() == before


def test_what_is_held_is_left_and_counted(conversation: Any, clock: Any, settings: Any) -> None:
    said(conversation)
    conversation.hold(reason="case 12")
    policy(settings, turns=50, conversations=50)
    for arguments in (["--dry-run"], []):
        found = applied(*arguments)
        assert (found["held"], found["conversations"], found["errors"]) == (1, {}, [])
    assert places_of(WORD) != []


@pytest.mark.parametrize("kind", ["conversations", "turns"])
def test_what_somebody_goes_on_with_meanwhile_stays(
    conversation: Any, clock: Any, settings: Any, kind: str
) -> None:
    turn_id = failed(conversation)
    policy(settings, **{kind: 50})
    [found] = retention.due()
    clock.now = timezone.now()
    conversation.record_turn("late", AIMessage("ok"), turn_id=turn_id)
    fork = conversation.fork()
    assert not retention.apply(found)
    assert not Event.objects.filter(payload=None).exists()
    titles = set(Conversation.objects.values_list("title", flat=True))
    assert (titles, fork.title) == ({conversation.title}, conversation.title)


def test_longer_than_there_has_been_time_is_for_ever(settings: Any, conversation: Any) -> None:
    policy(settings, turns=10**9, conversations=10**15)
    said(conversation)
    assert list(retention.due()) == []
