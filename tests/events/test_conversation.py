"""Whose conversation it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.test.utils import isolate_apps
from langchain_core.messages import AIMessage

from turnlog.events.erasure.forgetting import before_user
from turnlog.events.models import Actor, Conversation

pytestmark = pytest.mark.django_db


def test_its_owner_may_enter_and_nobody_else(conversation: Any, django_user_model: Any) -> None:
    other = django_user_model.objects.create_user("bob")
    assert conversation.is_open_to(conversation.user)
    assert not conversation.is_open_to(other)
    assert not conversation.is_open_to(AnonymousUser())
    assert not conversation.is_open_to(None)


def test_an_unowned_one_is_open_to_whoever_is_logged_in(user: Any) -> None:
    room = Conversation.objects.create(user=None)
    assert room.is_open_to(user)
    assert not room.is_open_to(AnonymousUser())


@pytest.mark.parametrize("how", ["create", "bulk_create", "update"])
def test_a_deleted_owner_does_not_make_it_unowned(how: str, django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("gone")
    if how == "create":
        room = Conversation.objects.create(user=owner)
    elif how == "bulk_create":
        [room] = Conversation.objects.bulk_create([Conversation(user=owner)])
        room = Conversation.objects.get()
    else:
        room = Conversation.objects.create()
        Conversation.streams.rewrite(user=owner)  # As raw SQL would.
    owner.delete()
    room.refresh_from_db()
    assert room.user is None
    assert room.owner_actor_id is not None
    assert not room.is_open_to(django_user_model.objects.create_user("curious"))


def test_deleting_a_user_forgets_who_the_actor_was(conversation: Any, user: Any) -> None:
    conversation.start_turn("hello", user=user)
    assert Actor.objects.filter(user=user).exists()
    user.delete()
    assert not Actor.objects.exists()
    assert Conversation.objects.get().owner_actor_id == conversation.owner_actor_id


def test_a_user_has_one_actor(user: Any, django_user_model: Any) -> None:
    again = django_user_model.objects.get(pk=user.pk)
    assert Actor.objects.id_of(user) == Actor.objects.id_of(again)
    assert Actor.objects.id_of(None) is Actor.objects.id_of(AnonymousUser()) is None


@pytest.mark.django_db(transaction=True)
def test_a_pseudonym_that_was_rolled_back_is_not_remembered(user: Any) -> None:
    room = Conversation.objects.create()
    with transaction.atomic():
        room.record_turn("a", AIMessage("b"), user=user)
        transaction.set_rollback(True)
    [human, _] = room.record_turn("a", AIMessage("b"), user=user)[-2:]
    assert Actor.objects.get(pk=human.actor_id).user == user
    assert room.messages.filter(user=user).count() == 2


@isolate_apps("tests.project")
def test_deleting_through_a_proxy_forgets_nothing_either() -> None:
    """Receivers are connected for every model that is a user, proxies too."""
    from django.db.models.signals import pre_delete

    from turnlog.events.apps import connect_receivers

    class Proxy(User):
        class Meta:
            proxy = True
            app_label = "project"

    connect_receivers([Proxy])
    try:
        proxy = Proxy.objects.create(username="proxied")
        room = Conversation.objects.create()
        Conversation.streams.rewrite(user=proxy.pk)
        proxy.delete()
        room.refresh_from_db()
        assert (room.user, room.owner_actor_id is None) == (None, False)
    finally:
        pre_delete.disconnect(before_user, sender=Proxy)
