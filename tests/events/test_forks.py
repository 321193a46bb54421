"""A fork begins with exactly what was visible, stands alone, and leaves its parent as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.core import codec
from turnlog.core.errors import MomentError, NotPermitted, UnknownConversation
from turnlog.events import forks
from turnlog.events.listed import fold
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Actor, Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.proof.verification import Verifier
from turnlog.events.store.dialect import PostgreSQL, SQLite
from turnlog.events.types import ConversationForked, MessageAppended
from turnlog.projections.models import ConversationMessage
from turnlog.projections.travel.moments import as_of

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "record", "fail", "clear", "erase", "fork"]),
        st.integers(0, 2),  # which user; the last is a guest
        st.integers(0, 100),  # how far back a fork goes, in percent
    ),
    min_size=1,
    max_size=15,
)


class TheLaw(TestCase):
    """fork(v) lists what as_of(v) does, whatever had happened before, in forks of forks too."""

    @given(ACTIONS)
    def test_a_fork_begins_with_what_was_visible(self, actions: list[tuple[str, int, int]]) -> None:
        users = get_user_model().objects
        people = [*(users.create_user(name) for name in ("ada", "bob")), None]
        room = Conversation.objects.create()
        room.clear()
        for number, (action, person, back) in enumerate(actions):
            if action == "fork":
                room = self.forked(room, back)
            else:
                act(room, action, people[person], f"{action} {number}")
        assert list(Verifier().whole()) == []

    def forked(self, parent: Conversation, back: int) -> Conversation:
        before = stored(parent)
        version = max(1, len(before) * back // 100)
        fork = parent.fork(version)
        assert stored(parent) == before
        seen, listed = as_of(parent, version).entries, as_of(fork).entries
        assert [same(entry) for entry in listed] == [same(entry) for entry in seen]
        assert [same(entry) for entry in fold(read(fork.pk))] == [same(entry) for entry in seen]
        kept = ConversationMessage.objects.filter(conversation=fork).order_by("version")
        assert list(kept.values_list("version", flat=True)) == [entry.version for entry in listed]
        copied_from = [origin(e) for e in read(fork.pk, after=2)]
        assert copied_from == [(parent.pk, entry.version) for entry in seen]
        return fork


def same(entry: Any) -> Any:
    """What a copy has in common with its original."""
    return entry.turn_id, entry.actor_id, entry.content


def act(room: Any, action: str, user: Any, text: str) -> None:
    if action == "record":
        room.record_turn(text, AIMessage("ok"), [{"tool": "t", "output": 1.5}], user=user)
    elif action == "clear":
        room.clear(by=user)
    elif action == "erase":
        messages = room_events(room).filter(type="MessageAppended", payload__isnull=False)
        if first := messages.order_by("version").first():
            room.erase([first.turn_id], reason="request 7")
    elif not open_turns(room):
        turn = room.start_turn(text, user=user, prompt=Prompt(previous={"messages": []}))
        if action == "fail":
            room.fail_turn(turn.turn_id, "failed")


def open_turns(room: Any) -> bool:
    ended = room_events(room).exclude(type="TurnStarted").values("turn_id")
    started = room_events(room).filter(type="TurnStarted")
    return started.exclude(turn_id__in=ended.filter(turn_id__isnull=False)).exists()


def room_events(room: Any) -> Any:
    return Event.objects.filter(stream_id=room.pk)


def stored(room: Any) -> list[Any]:
    """Every column of every event."""
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in room_events(room).order_by("version").values_list()
    ]


def origin(event: Event) -> tuple[int, int]:
    found = event.meta["origin"]
    assert set(found) == {"stream", "version"}
    return found["stream"], found["version"]


pytestmark = pytest.mark.django_db


def texts(room: Any, user: Any) -> list[str]:
    return [message.content for message in ConversationMessage.objects.get_histories(room, user)]


@pytest.fixture
def coffee(conversation: Any, user: Any) -> Any:
    """Versions 2 and 3 are a turn, 4 a clearing, 5 and 6 a turn."""
    conversation.record_turn("a latte", AIMessage("here"), user=user, metadata={"model": "m"})
    conversation.clear(by=user)
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    return conversation


def test_what_a_fork_is(coffee: Any, user: Any) -> None:
    fork = coffee.fork()
    assert (fork.forked_from, fork.forked_at, fork.title) == (coffee, 6, "Ordering coffee")
    assert list(coffee.forks.all()) == [fork]
    opened, forked, *copies = read(fork.pk)
    assert opened.type == "ConversationOpened"
    head = room_events(coffee).get(version=6)
    assert forked.data == ConversationForked(coffee.pk, 6, bytes(head.hash).hex())
    originals = list(read(coffee.pk, after=4))
    for copy, original in zip(copies, originals, strict=True):
        for name in ("type", "schema", "turn_id", "actor_id", "payload"):
            assert getattr(copy, name) == getattr(original, name)
        assert copy.meta == {
            **original.meta,
            "origin": {"stream": coffee.pk, "version": original.version},
        }
        assert copy.salt != original.salt
    assert texts(fork, user) == texts(coffee, user) == ["a tea", "there"]
    assert list(Verifier().whole()) == []


def test_a_fork_from_before_a_clearing_shows_what_was_there(coffee: Any, user: Any) -> None:
    assert texts(coffee.fork(3), user) == ["a latte", "here"]
    assert texts(coffee.fork(version=2), user) == ["a latte"]
    assert texts(coffee.fork(4), user) == []
    at = as_of(coffee, 3).at
    assert coffee.fork(at=at).forked_at == as_of(coffee, at=at).version
    assert [e.meta.get("model") for e in read(coffee.fork(3).pk, after=2)] == ["m", "m"]


def test_a_fork_goes_its_own_way(coffee: Any, user: Any) -> None:
    fork = coffee.fork(3)
    before = stored(coffee)
    fork.record_turn("milk?", AIMessage("oats"), user=user)
    assert texts(fork, user) == ["a latte", "here", "milk?", "oats"]
    fork.clear()
    assert stored(coffee) == before
    assert texts(coffee, user) == ["a tea", "there"]
    assert texts(fork, user) == []


def test_a_fork_of_a_fork_names_its_own_parent(coffee: Any, user: Any) -> None:
    first = coffee.fork(3)
    second = first.fork()
    assert second.forked_from == first
    assert [origin(event) for event in read(second.pk, after=2)] == [(first.pk, 3), (first.pk, 4)]
    assert texts(second, user) == ["a latte", "here"]
    # As it was opened, before anything was copied, it is a moment too.
    assert texts(second.fork(1), user) == texts(second.fork(2), user) == []


def test_what_is_erased_is_not_copied(coffee: Any, user: Any) -> None:
    coffee.erase([room_events(coffee).get(version=2).turn_id], reason="request 7")
    fork = coffee.fork(3)
    assert texts(fork, user) == []
    assert "latte" not in "".join(event.payload or "" for event in read(fork.pk))
    assert list(Verifier().whole()) == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_turn_without_an_answer_is_not_copied(coffee: Any, user: Any, ended: bool) -> None:
    turn = coffee.start_turn("and a cake", user=user)
    if ended:
        coffee.fail_turn(turn.turn_id, "failed")
    fork = coffee.fork()
    assert texts(fork, user) == ["a tea", "there"]
    # Nothing is open there: the next turn may start.
    fork.start_turn("a bagel", user=user)


def test_without_a_user_it_belongs_to_whom_the_parent_belongs(
    coffee: Any, user: Any, django_user_model: Any
) -> None:
    fork = coffee.fork()
    assert (fork.user, fork.owner_actor_id) == (user, coffee.owner_actor_id)
    user.delete()
    orphan = Conversation.objects.get(pk=coffee.pk).fork()
    assert orphan.user is None
    assert orphan.owner_actor_id == coffee.owner_actor_id
    assert not orphan.is_open_to(django_user_model.objects.create_user("curious"))
    # What the caller holds may be older than the deletion.
    assert coffee.fork().user is None


def test_everybodys_turns_are_copied_without_a_user_and_one_persons_with_one(
    django_user_model: Any,
) -> None:
    room = Conversation.objects.create(title="Table 4")
    ada, bob, eve = (django_user_model.objects.create_user(name) for name in ("a", "b", "e"))
    for who in (ada, bob, None):
        room.record_turn(f"by {who}", AIMessage("ok"), user=who)
    whole, bobs, eves = room.fork(), room.fork(user=bob), room.fork(user=eve)
    assert whole.user is whole.owner_actor_id is None
    assert [texts(whole, who) for who in (ada, bob, None)] == [
        ["by a", "ok"],
        ["by b", "ok"],
        ["by None", "ok"],
    ]
    assert (bobs.user, bobs.owner_actor_id) == (bob, Actor.objects.id_of(bob))
    assert [message.content for message in as_of(bobs).messages] == ["by b", "ok"]
    assert as_of(bobs).version == 4
    assert as_of(eves).messages == []
    assert next(iter(read(bobs.pk, after=1))).actor_id == Actor.objects.id_of(bob)


def test_the_owner_may_fork_and_nobody_else(coffee: Any, django_user_model: Any) -> None:
    bob = django_user_model.objects.create_user("bob")
    before = Event.objects.count(), Conversation.objects.count()
    for stranger in (bob, AnonymousUser()):
        with pytest.raises(
            NotPermitted, match=f"conversation {coffee.pk}: only its owner may fork"
        ):
            coffee.fork(user=stranger)
    assert (Event.objects.count(), Conversation.objects.count()) == before
    assert coffee.fork(user=coffee.user).user == coffee.user
    # Whose it is, is asked of the database and not of what the caller holds.
    Conversation.objects.filter(pk=coffee.pk).rewrite(user=bob)
    with pytest.raises(NotPermitted):
        coffee.fork(user=coffee.user)


@pytest.mark.parametrize(
    "moment", [{"version": 0}, {"version": 7}, {"version": True}, {"at": "today"}]
)
def test_a_moment_that_there_is_not_leaves_no_fork(coffee: Any, moment: dict[str, Any]) -> None:
    with pytest.raises(MomentError):
        coffee.fork(**moment)
    assert Conversation.objects.count() == 1


def test_there_must_be_something_to_fork(conversation: Any) -> None:
    with pytest.raises(MomentError, match="expected at least one event, found none"):
        conversation.fork()
    with pytest.raises(UnknownConversation):
        Conversation(pk=999_999).fork()
    assert Conversation.objects.count() == 1


def test_it_is_all_or_nothing(coffee: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(forks, "_BATCH", 1)
    copy_of, copied = forks._copy_of, []

    def copy_of_the_first(event: Event) -> NewEvent:
        copied.append(event)
        if len(copied) > 1:
            raise RuntimeError("no more")
        return copy_of(event)

    monkeypatch.setattr(forks, "_copy_of", copy_of_the_first)
    with pytest.raises(RuntimeError):
        coffee.fork()
    assert Conversation.objects.count() == 1
    assert set(Event.objects.values_list("stream_id", flat=True)) == {coffee.pk}


def test_the_parent_is_locked_before_it_is_read(coffee: Any, monkeypatch: Any) -> None:
    """Or an erasure could come between reading what is copied and committing the copies."""
    dialect = PostgreSQL if connection.vendor == "postgresql" else SQLite
    original, locked = dialect.lock_streams, []

    def lock(self: Any, cursor: Any, streams: Any, **options: Any) -> None:
        locked.extend(streams)
        original(self, cursor, streams, **options)

    def moment_of(stream_id: int, *args: Any) -> Any:
        assert locked == [stream_id]
        return original_moment(stream_id, *args)

    original_moment = forks.moment_of
    monkeypatch.setattr(dialect, "lock_streams", lock)
    monkeypatch.setattr(forks, "moment_of", moment_of)
    coffee.fork()
    assert locked == [coffee.pk]


def test_more_copies_than_fit_in_one_statement(conversation: Any) -> None:
    """At 12 columns 32,766 parameters are 2,730 events."""
    number = 3000
    for start in range(0, number, 1000):
        words = [
            {"_type": "HumanMessage", "_value": {"content": str(start + n)}} for n in range(1000)
        ]
        append(conversation.pk, [NewEvent(MessageAppended(document)) for document in words])
    fork = conversation.fork()
    contents = [json.loads(entry.content)["_value"]["content"] for entry in as_of(fork).entries]
    assert contents == [str(n) for n in range(number)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates too, as the codec leaves them; not pairs, which it cuts in two.
    | st.text(st.characters(exclude_categories=[]), max_size=1)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_is_written_of_what_was_read_is_the_same_text(document: Any) -> None:
    text = codec.to_json(document)
    assert codec.to_json(json.loads(text)) == text


def test_the_payloads_bytes_are_carried(conversation: Any, user: Any) -> None:
    answer = AIMessage(
        "안녕 \0 \ud800 1e16 -0.0 \u2028", additional_kwargs={"n": [1e16, -0.0, 1e-7]}
    )
    conversation.record_turn(HumanMessage("a"), answer, user=user)
    fork = conversation.fork()
    payloads = [event.payload for event in read(conversation.pk, after=1)]
    assert [event.payload for event in read(fork.pk, after=2)] == payloads


def test_a_copy_keeps_the_schema_it_was_written_in(conversation: Any) -> None:
    class MessageAppended(forks._Copy):  # As it may have been written by another release.
        schema = 7

    append(conversation.pk, [NewEvent(MessageAppended({"old": 1}))])
    copy = list(read(conversation.fork().pk))[-1]
    assert (copy.type, copy.schema, copy.payload) == ("MessageAppended", 7, '{"old":1}')


@pytest.mark.django_db(transaction=True)
def test_the_async_twin_forks(coffee: Any, user: Any) -> None:
    fork = async_to_sync(coffee.afork)(3, user=user)
    assert texts(fork, user) == ["a latte", "here"]


def test_the_admin_shows_where_it_came_from(coffee: Any, admin_client: Any) -> None:
    fork = coffee.fork()
    page = admin_client.get(
        f"/admin/turnlog_events/conversation/{fork.pk}/change/"
    ).content.decode()
    assert f'href="/admin/turnlog_events/conversation/{coffee.pk}/change/"' in page
