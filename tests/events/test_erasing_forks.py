"""What is erased is erased in the forks that copied it, and in theirs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, catch_up, events, require_sound
from tests.everywhere import places_of
from turnlog.core.errors import ErasureFailed, LegalHold, TurnInProgress
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.projections.engine.registry import named
from turnlog.projections.travel.moments import as_of

pytestmark = pytest.mark.django_db


def texts(room: Any) -> list[str]:
    return [message.content for message in as_of(room).messages]


@pytest.fixture
def secret(conversation: Any, user: Any) -> Any:
    """The last event of a turn that holds the word; before and after it is another."""
    conversation.record_turn("a latte", AIMessage("here"), user=user)
    secret = conversation.record_turn(WORD, AIMessage(f"a {WORD}"), user=user)[-1]
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    return secret


def test_copies_of_copies_are_erased(conversation: Any, secret: Event) -> None:
    before = conversation.fork(secret.version - 2)
    fork = conversation.fork()
    second = fork.fork()
    second.record_turn("more", AIMessage("ok"))
    third = second.fork()
    catch_up()
    heads = [events(room).count() for room in (before, fork, second, third)]
    receipt = conversation.erase([secret.turn_id], reason="request 7")
    assert places_of(WORD) == []
    assert [each.conversation for each in receipt.forks] == [fork.pk, second.pk, third.pk]
    assert {each.turns for each in receipt.whole()} == {(secret.turn_id,)}
    assert [len(each.events) for each in receipt.whole()] == [2, 2, 2, 2]
    assert [events(room).count() for room in (before, fork, second, third)] == [
        heads[0],
        *(head + 1 for head in heads[1:]),
    ]
    assert texts(before) == ["a latte", "here"]
    assert texts(third) == ["a latte", "here", "a tea", "there", "more", "ok"]
    require_sound(conversation, before, fork, second, third)


def test_a_deep_chain_of_forks_is_followed(conversation: Any, secret: Event) -> None:
    room = conversation
    for _ in range(40):
        room = room.fork()
    assert len(conversation.erase([secret.turn_id], reason="request 7").forks) == 40
    assert places_of(WORD) == []


def test_with_everything_go_the_copies_and_the_title(user: Any) -> None:
    parent = Conversation.objects.create(user=user, title=f"The {WORD}")
    parent.record_turn("a latte", AIMessage(WORD), user=user)
    fork = parent.fork()
    fork.record_turn("mine", AIMessage("ok"), user=user)
    renamed = parent.fork()
    Conversation.objects.filter(pk=renamed.pk).rewrite(title="Another")
    catch_up()
    receipt = parent.erase(reason="request 7")
    assert places_of(WORD) == []
    assert [each.title for each in receipt.forks] == [True, False]
    assert texts(fork) == ["mine", "ok"]
    assert Conversation.objects.get(pk=renamed.pk).title == "Another"
    require_sound(parent, fork, renamed)


def test_a_title_that_a_fork_began_with_goes_though_its_parent_has_another(user: Any) -> None:
    parent = Conversation.objects.create(user=user)
    parent.record_turn("a latte", AIMessage("ok"), user=user)
    parent.title = f"The {WORD}"
    parent.save()
    forks = [parent.fork(), parent.fork()]
    Conversation.objects.filter(pk=forks[1].pk).rewrite(title="Another")
    parent.title = "Better"
    parent.save()
    parent.erase(reason="request 7")
    assert places_of(WORD) == []
    assert [Conversation.objects.get(pk=fork.pk).title for fork in forks] == ["", "Another"]


def test_a_copy_is_erased_alone(conversation: Any, secret: Event) -> None:
    fork = conversation.fork()
    receipt = fork.erase([secret.turn_id], reason="request 7")
    assert [each.conversation for each in receipt.whole()] == [fork.pk]
    assert WORD in texts(conversation)
    # And what is erased there already does not keep the rest from it.
    conversation.erase([secret.turn_id], reason="request 8")
    assert places_of(WORD) == []


def test_a_fork_is_found_by_its_events(conversation: Any, secret: Event) -> None:
    """Whatever became of the column that anybody may change."""
    fork = conversation.fork()
    Conversation.objects.filter(pk=fork.pk).rewrite(forked_from=None, forked_at=None)
    receipt = conversation.erase([secret.turn_id], reason="request 7")
    assert [each.conversation for each in receipt.forks] == [fork.pk]
    assert places_of(WORD) == []


def test_a_fork_that_was_missed_is_found_the_next_time(
    conversation: Any, secret: Event, monkeypatch: Any
) -> None:
    """As after a restore of some conversations only."""
    fork = conversation.fork()
    with monkeypatch.context() as patched:
        patched.setattr("turnlog.events.erasure.act.forks_of", lambda stream_id: [])
        conversation.erase([secret.turn_id], reason="request 7")
    assert WORD in texts(fork)
    receipt = conversation.erase([secret.turn_id], reason="request 7")
    assert not receipt.events
    assert [each.conversation for each in receipt.forks] == [fork.pk]
    assert places_of(WORD) == []


def test_a_held_fork_keeps_all_from_being_erased(conversation: Any, secret: Event) -> None:
    free, fork = conversation.fork(2), conversation.fork()
    free.hold(reason="no copies in it")
    fork.hold(reason="case 12")
    before = places_of(WORD)
    with pytest.raises(LegalHold, match=f"conversation {fork.pk} is under a legal hold"):
        conversation.erase([secret.turn_id], reason="request 7")
    assert places_of(WORD) == before
    fork.lift_hold(reason="settled")
    conversation.erase([secret.turn_id], reason="request 7")
    assert places_of(WORD) == []


def test_a_projection_that_fails_in_a_fork_keeps_the_parent(
    conversation: Any, secret: Event, monkeypatch: Any
) -> None:
    fork = conversation.fork()
    [lines] = named(["lines"])
    original = type(lines).erase

    def erase(self: Any, erased: Any) -> None:
        if erased[0].stream_id == fork.pk:
            raise ValueError("not here")
        original(self, erased)

    monkeypatch.setattr(type(lines), "erase", erase)
    with pytest.raises(ErasureFailed) as caught:
        conversation.erase([secret.turn_id], reason="request 7")
    assert caught.value.stream_id == fork.pk
    assert WORD in texts(conversation)


def test_turns_of_a_fork_that_quote_go_with_its_copies(conversation: Any, secret: Event) -> None:
    fork = conversation.fork()
    summary = {"_type": "SystemMessage", "_value": {"content": WORD}}
    turn = fork.start_turn("and?", prompt=Prompt("model", previous={"messages": [summary]}))
    with pytest.raises(TurnInProgress):
        conversation.erase([secret.turn_id], reason="request 7")
    fork.record_turn("and?", AIMessage("so"), turn_id=turn.turn_id)
    receipt = conversation.erase([secret.turn_id], reason="request 7")
    assert [each.quoting for each in receipt.whole()] == [(), (turn.turn_id,)]
    assert places_of(WORD) == []
