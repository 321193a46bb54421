"""A changed title or owner is an event; what did not change is not written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, events, require_sound
from tests.everywhere import places_of
from turnlog.core.errors import AppendOnlyError, ArgumentError
from turnlog.events.erasure.users import erase_user, forget_user
from turnlog.events.models import Actor, Conversation
from turnlog.events.types import OwnerChanged, TitleChanged
from turnlog.projections.travel.moments import as_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title="first")
    room.record_turn("hello", AIMessage("hi"), user=user)
    return room


@pytest.fixture
def other(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("grace")


def changes(room: Conversation) -> list[Any]:
    kinds = (TitleChanged.__name__, OwnerChanged.__name__)
    return [event.data for event in events(room).filter(type__in=kinds)]


def by_update_or_create(room: Conversation, **values: Any) -> None:
    Conversation.objects.update_or_create(pk=room.pk, defaults=values)


def by_save(room: Conversation, **values: Any) -> None:
    for name, value in values.items():
        setattr(room, name, value)
    room.save()


def by_update_fields(room: Conversation, **values: Any) -> None:
    for name, value in values.items():
        setattr(room, name, value)
    room.save(update_fields=list(values))


def by_a_new_object(room: Conversation, **values: Any) -> None:
    given = {"title": room.title, "user": room.user, "created_at": room.created_at, **values}
    Conversation(pk=room.pk, **given).save()


@pytest.mark.parametrize("way", [by_save, by_update_fields, by_update_or_create, by_a_new_object])
def test_every_way_through_the_model_is_recorded(
    room: Conversation, user: Any, other: Any, way: Callable[..., None]
) -> None:
    head = events(room).count()
    way(room, title="second")
    way(Conversation.objects.get(pk=room.pk), user=other)
    former, new = Actor.objects.get(user=user).pk, Actor.objects.get(user=other).pk
    assert changes(room) == [TitleChanged("second"), OwnerChanged(str(new), str(former))]
    stored = Conversation.objects.get(pk=room.pk)
    assert (stored.title, stored.user, stored.owner_actor_id) == ("second", other, new)
    moments = [as_of(room, version=version) for version in range(head, head + 3)]
    assert [moment.title for moment in moments] == ["first", "second", "second"]
    assert [moment.owner for moment in moments] == [former, former, new]
    assert len(moments[-1].messages) == len(moments[0].messages) == 2
    require_sound(room)


def test_the_admin_says_who_changed_it(
    room: Conversation, other: Any, admin_client: Any, admin_user: Any
) -> None:
    page = f"/admin/turnlog_events/conversation/{room.pk}/change/"
    assert admin_client.post(page, {"title": "second", "user": other.pk}).status_code == 302
    assert [type(change) for change in changes(room)] == [OwnerChanged, TitleChanged]
    last = events(room).order_by("-version")[0]
    assert last.actor_id == Actor.objects.get(user=admin_user).pk
    assert admin_client.post(page, {"title": "second", "user": other.pk}).status_code == 302
    assert len(changes(room)) == 2


def test_a_conversation_that_nobody_owns_any_more(room: Conversation, user: Any) -> None:
    former = str(Actor.objects.get(user=user).pk)
    by_save(room, user=None)
    assert changes(room) == [OwnerChanged(None, former)]
    assert as_of(room).owner is None
    stored = Conversation.objects.get(pk=room.pk)
    assert not stored.is_open_to(user)
    by_save(room, user=user)
    assert changes(room)[1] == OwnerChanged(former, former)


def test_creating_is_one_insert(user: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        room = Conversation.objects.create(user=user, title="first")
    written = [query["sql"] for query in queries if "INSERT" in query["sql"]]
    assert [sql for sql in written if "turnlog_actor" not in sql] == written[-1:]
    assert not events(room).exists()


def test_the_opening_says_what_it_was_before(user: Any) -> None:
    room = Conversation.objects.create(user=user, title="first")
    by_save(room, title="second")
    assert [as_of(room, version=version).title for version in (1, 2)] == ["first", "second"]


@pytest.mark.parametrize(
    "change",
    [
        lambda rooms: rooms.update(title="second"),
        lambda rooms: rooms.update(user=None),
        lambda rooms: rooms.update(user_id=None),
        lambda rooms: rooms.update(owner_actor_id=None),
        lambda rooms: rooms.update(forked_from=None),
        lambda rooms: rooms.bulk_update(
            [Conversation(pk=rooms[0].pk, title="second")], fields=["title"]
        ),
        lambda rooms: rooms[0].user.turnlog_conversations.clear(),
        lambda rooms: Conversation._base_manager.all().update(title="second"),
    ],
    ids=[
        *("title", "user", "user_id", "owner_actor_id", "forked_from", "bulk_update", "clear"),
        "the base manager",
    ],
)
def test_what_the_log_would_not_know_of_is_refused(
    room: Conversation, change: Callable[[Any], Any]
) -> None:
    refused = pytest.raises(AppendOnlyError, match="found an update of a query set")
    with refused, transaction.atomic():
        change(Conversation.objects.all())
    stored = Conversation.objects.get()
    assert (stored.title, stored.user_id) == ("first", room.user_id)
    assert changes(room) == []


def test_adding_to_a_users_conversations_is_refused_too(room: Conversation, other: Any) -> None:
    with pytest.raises(AppendOnlyError), transaction.atomic():
        other.turnlog_conversations.add(room)
    other.turnlog_conversations.add(room, bulk=False)
    assert [type(change) for change in changes(room)] == [OwnerChanged]


# What was loaded before, and is saved afterwards


def test_what_was_loaded_before_brings_nothing_back(room: Conversation, user: Any) -> None:
    room.title = WORD
    room.save()
    loaded = Conversation.objects.get(pk=room.pk)
    room.erase(reason="request 7")
    forget_user(user)
    loaded.save()
    room.save()
    stored = Conversation.objects.get(pk=room.pk)
    assert (stored.title, stored.user_id) == ("", None)
    assert places_of(WORD) == []
    # What somebody gives it now is new.
    loaded.title = "new"
    loaded.save()
    assert Conversation.objects.get(pk=room.pk).title == "new"
    assert Conversation.objects.get(pk=room.pk).user_id is None


def test_only_what_was_loaded_is_known_to_have_changed(room: Conversation) -> None:
    part = Conversation.objects.only("created_at").get(pk=room.pk)
    part.save()
    part = Conversation.objects.defer("title").get(pk=room.pk)
    part.title = "second"
    part.save()
    assert changes(room) == [TitleChanged("second")]


def test_reading_or_writing_one_of_them_leaves_the_other_to_be_saved(
    room: Conversation, other: Any
) -> None:
    room.user = other
    room.refresh_from_db(fields=["title"])
    room.title = "second"
    room.save(update_fields=["title"])
    room.save()
    stored = Conversation.objects.get(pk=room.pk)
    assert (stored.title, stored.user) == ("second", other)
    room.title = "third"
    room.refresh_from_db(fields=["user_id"])
    room.save()
    assert Conversation.objects.get(pk=room.pk).title == "third"


def test_a_change_that_was_rolled_back_is_still_to_be_saved(room: Conversation) -> None:
    room.title = "second"
    with transaction.atomic():
        room.save()
        transaction.set_rollback(True)
    room.save()
    assert Conversation.objects.get(pk=room.pk).title == "second"
    assert changes(room) == [TitleChanged("second")]


def test_a_change_and_back_in_one_transaction_are_both_saved(room: Conversation) -> None:
    with transaction.atomic():
        for title in ("second", "first"):
            room.title = title
            room.save()
    assert changes(room) == [TitleChanged("second"), TitleChanged("first")]


def test_an_expression_is_refused(room: Conversation) -> None:
    room.title = Lower(F("title"))
    with pytest.raises(ArgumentError, match=r"title: expected a value.* found Lower"):
        room.save()
    assert changes(room) == []


def test_a_copy_without_a_key_is_a_new_conversation(room: Conversation) -> None:
    """As with other models of Django's."""
    first, room.pk = room.pk, None
    room.save()
    assert room.pk != first
    assert {each.title for each in Conversation.objects.all()} == {"first"}


@pytest.mark.parametrize("fields", [["user"], None])
def test_no_former_owners_pseudonym_stays(
    room: Conversation, other: Any, fields: list[str] | None
) -> None:
    room.user = other
    room.save(update_fields=fields)
    assert Conversation.objects.get(pk=room.pk).owner_actor_id == Actor.objects.id_of(other)
    assert room.owner_actor_id == Actor.objects.id_of(other)


def test_a_new_conversation_of_a_forgotten_user_has_their_new_pseudonym(
    room: Conversation, user: Any, django_user_model: Any
) -> None:
    former = Actor.objects.id_of(user)
    forget_user(django_user_model.objects.get(pk=user.pk))
    again = Conversation.objects.create(user=user)
    assert again.owner_actor_id == Actor.objects.get(user=user).pk != former


# Erasing


def test_all_its_titles_are_erased(room: Conversation, other: Any) -> None:
    for title in (f"my {WORD}", f"our {WORD}", "harmless"):
        by_save(room, title=title)
    by_save(room, user=other)
    forked = room.fork()
    receipt = room.erase(reason="request 7")
    assert receipt.title
    assert places_of(WORD) == []
    assert [as_of(room, version=version).title for version in range(1, 7)] == [""] * 6
    # Who could read it when is no words.
    assert [type(change) for change in changes(room)] == [type(None)] * 3 + [OwnerChanged]
    assert not Conversation.objects.get(pk=forked.pk).title
    require_sound(room, forked)


def test_erasing_turns_leaves_the_title(room: Conversation) -> None:
    by_save(room, title="second")
    room.erase([events(room).exclude(turn_id=None)[0].turn_id], reason="request 7")
    assert Conversation.objects.get(pk=room.pk).title == as_of(room).title == "second"


def test_a_title_that_somebody_gave_is_theirs(room: Conversation, other: Any) -> None:
    room.changed_by = other
    by_save(room, title=WORD)
    list(erase_user(other, reason="request 7"))
    assert places_of(WORD) == []
    assert Conversation.objects.get(pk=room.pk).title == ""
    assert [message.text for message in as_of(room).messages] == ["hello", "hi"]


def test_forgetting_and_deleting_a_user_are_no_change_of_owner(
    room: Conversation, user: Any
) -> None:
    owner = Actor.objects.get(user=user).pk
    forget_user(user)
    user.delete()
    assert changes(room) == []
    assert as_of(room).owner == owner
    assert Conversation.objects.get(pk=room.pk).user_id is None


def test_a_title_that_utf_8_cannot_hold_is_mended(user: Any) -> None:
    room = Conversation.objects.create(user=user, title="half \ud83d a face \ud83d\ude00")
    assert Conversation.objects.get().title == "half \ufffd a face \U0001f600"
    room.title = "\udead"
    room.save()
    assert Conversation.objects.get().title == "\ufffd"
    assert changes(room) == [TitleChanged("\ufffd")]
