"""Everything of a person: what they said, and who they are."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, transaction
from django.db.models import ProtectedError
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, catch_up, events, require_sound, said
from tests.everywhere import places_of
from turnlog.core.errors import (
    AppendOnlyError,
    ErasureFailed,
    ErasureIncomplete,
    LegalHold,
    ReasonRefused,
    UnknownUser,
)
from turnlog.events.erasure.users import erase_user, forget_user
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Actor, Conversation, Event
from turnlog.events.types import PayloadErased
from turnlog.projections.engine.registry import named
from turnlog.projections.travel.moments import as_of

pytestmark = pytest.mark.django_db

NAME = "quetzalcoatl"


@pytest.fixture
def person(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user(NAME)


@pytest.fixture
def rooms(person: Any, user: Any) -> list[Any]:
    """Two of theirs, one of everybody's and one of somebody else who has forked that."""
    own = [Conversation.objects.create(user=person, title=WORD) for _ in range(2)]
    shared = Conversation.objects.create()
    for room in (*own, shared):
        said(room, person)
        room.record_turn("from somebody else", AIMessage("ok"), user=user)
    shared.clear(by=person, reason=WORD)
    forked = shared.fork(shared_version(shared) - 1)
    catch_up()
    return [*own, shared, forked]


def shared_version(room: Any) -> int:
    return as_of(room).version


def test_everything_of_a_user_is_erased(person: Any, user: Any, rooms: list[Any]) -> None:
    receipts = list(erase_user(person, by=user, reason="request 7"))
    assert places_of(WORD) == []
    assert [receipt.conversation for receipt in receipts] == [room.pk for room in rooms[:3]]
    assert [fork.conversation for fork in receipts[2].forks] == [rooms[3].pk]
    assert {receipt.by for receipt in receipts} == {Actor.objects.get(user=user).pk}
    # What others have said in rooms of nobody's stays; their own rooms are erased whole.
    assert [message.content for message in as_of(rooms[3]).messages] == ["from somebody else", "ok"]
    kept = events(rooms[0]).exclude(payload=None)
    assert [event.type for event in kept] == ["PayloadErased"]
    require_sound(*rooms)
    assert list(erase_user(person, reason="request 8")) == []


def test_cut_off_it_is_simply_run_again(person: Any, rooms: list[Any]) -> None:
    first = next(erase_user(person, reason="request 7"))
    rest = list(erase_user(person, reason="request 7"))
    assert [r.conversation for r in (first, *rest)] == [room.pk for room in rooms[:3]]
    assert places_of(WORD) == []


def test_what_is_held_stays_and_is_told_at_the_end(person: Any, rooms: list[Any]) -> None:
    rooms[0].hold(reason="case 12")
    receipts: list[Any] = []
    with pytest.raises(ErasureIncomplete) as caught:
        receipts.extend(erase_user(person, reason="request 7", forget=True))
    assert [type(error) for error in caught.value.errors] == [LegalHold]
    assert f"conversation {rooms[0].pk} is under a legal hold" in str(caught.value)
    assert [r.conversation for r in receipts] == [room.pk for room in rooms[1:3]]
    # Who it was is evidence, too.
    assert Actor.objects.filter(user=person).exists()


def test_a_reason_is_asked_for_before_it_is_begun(person: Any) -> None:
    with pytest.raises(ReasonRefused):
        erase_user(person, reason="")


def test_who_never_said_anything_has_nothing_to_erase(person: Any) -> None:
    assert list(erase_user(person, reason="request 7", forget=True)) == []
    assert not Actor.objects.filter(user=person).exists()


# Who they are


def named_anywhere(person: Any) -> list[tuple[str, str]]:
    """Where turnlog's and its projections' tables name a user."""
    from django.apps import apps
    from django.contrib.auth import get_user_model

    found = []
    for model in apps.get_models():
        if not model._meta.db_table.startswith(("turnlog_", "tally_")):
            continue
        for field in model._meta.concrete_fields:
            of_users = field.related_model is get_user_model()
            if of_users and model._base_manager.filter(**{field.attname: person.pk}).exists():
                found.append((model._meta.db_table, field.attname))
    return found


@pytest.mark.parametrize("how", ["forgotten", "deleted", "erased and forgotten"])
def test_a_user_who_is_forgotten_is_named_nowhere(
    person: Any, rooms: list[Any], how: str, user: Any
) -> None:
    person_id, actor_id = person.pk, Actor.objects.get(user=person).pk
    assert len(named_anywhere(person)) == 5
    before = set(Event.objects.values_list("digest", "hash"))
    if how == "forgotten":
        forget_user(person)
    elif how == "deleted":
        person.delete()
    else:
        list(erase_user(person, reason="request 7", forget=True))
    person.pk = person_id
    assert named_anywhere(person) == []
    if how == "deleted":
        assert places_of(NAME) == []
    assert before <= set(Event.objects.values_list("digest", "hash"))
    require_sound(*rooms)
    # Theirs is nobody else's, and the rooms' guests have not said what they said.
    own = Conversation.objects.get(pk=rooms[0].pk)
    assert own.owner_actor_id == actor_id
    for other in (user, AnonymousUser()):
        assert not own.is_open_to(other)
    assert WORD not in str(as_of(rooms[2]).of(None).messages)


def test_who_speaks_again_is_somebody_new(person: Any, rooms: list[Any]) -> None:
    before = Actor.objects.get(user=person).pk
    forget_user(person)
    rooms[2].record_turn("again", AIMessage("ok"), user=person)
    assert Actor.objects.get(user=person).pk != before


def test_a_requests_user_is_forgotten_as_well(person: Any, rooms: list[Any]) -> None:
    """Which Django wraps, to load it when it is needed."""
    before = Actor.objects.get(user=person).pk
    lazy: Any = SimpleLazyObject(lambda: person)
    lazy._turnlog_actor_id = before
    forget_user(lazy)
    assert Actor.objects.id_of(lazy) != before
    assert named_anywhere(person) == [("turnlog_actor", "user_id")]


def test_rows_that_went_past_the_hooks_stay_closed(person: Any, user: Any) -> None:
    Conversation.objects.bulk_create([Conversation(user=person)])
    room = Conversation.objects.get()
    assert room.owner_actor_id is None
    forget_user(person)
    assert not Conversation.objects.get().is_open_to(user)


def test_a_projection_that_cannot_forget_keeps_all_as_it_was(
    person: Any, rooms: list[Any], monkeypatch: Any
) -> None:
    [usage] = named(["usage"])

    def forget_user_(self: Any, user: Any) -> None:
        raise ValueError("a name is needed")

    monkeypatch.setattr(type(usage), "forget_user", forget_user_)
    with pytest.raises(
        ErasureFailed, match=r"'usage' could not forget the user: .*: a name is needed"
    ):
        forget_user(person)
    assert len(named_anywhere(person)) == 5


@pytest.mark.parametrize("how", ["recorded", "started", "cleared", "held", "forked"])
def test_an_open_socket_does_not_speak_as_who_was_forgotten(
    person: Any, rooms: list[Any], how: str
) -> None:
    """Its user object has seen the pseudonym, and hears nothing of what happens elsewhere."""
    former = Actor.objects.id_of(person)
    forget_user(type(person).objects.get(pk=person.pk))
    room, before = rooms[2], events(rooms[2]).count()
    if how == "recorded":
        room.record_turn("late", AIMessage("ok"), user=person)
    elif how == "started":
        room.start_turn("late", user=person)
    elif how == "cleared":
        room.clear(by=person)
    elif how == "held":
        room.hold(by=person, reason="case 12")
    else:
        room, before = room.fork(user=person), 0
    said = set(events(room).filter(version__gt=before).values_list("actor_id", flat=True))
    assert said == {Actor.objects.get(user=person).pk}
    assert former not in said
    # What they say now is theirs, and within reach of the next erasure.
    if how == "recorded":
        [receipt] = erase_user(person, reason="request 8")
        assert receipt.conversation == room.pk


def test_an_answer_ends_under_the_pseudonym_that_it_was_asked_under(
    person: Any, rooms: list[Any]
) -> None:
    """The new one beside it would say who the old one was."""
    former = Actor.objects.id_of(person)
    started = rooms[2].start_turn("question", user=person)
    forget_user(type(person).objects.get(pk=person.pk))
    ended = rooms[2].record_turn(
        "question", AIMessage("answer"), user=person, turn_id=started.turn_id
    )
    assert {event.actor_id for event in ended} == {former}
    assert not Actor.objects.filter(user=person).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("inner", [True, False], ids=["a savepoint", "the transaction"])
def test_a_pseudonym_that_was_rolled_back_is_never_used(person: Any, inner: bool) -> None:
    room = Conversation.objects.create()
    with transaction.atomic():
        with transaction.atomic():
            room.record_turn("a", AIMessage("b"), user=person)
            rolled_back = Actor.objects.id_of(person)
            transaction.set_rollback(True)
        if inner:
            room.record_turn("c", AIMessage("d"), user=person)
        else:
            transaction.set_rollback(True)
    room.record_turn("e", AIMessage("f"), user=person)
    spoke = set(events(room).filter(turn_id__isnull=False).values_list("actor_id", flat=True))
    assert spoke == {Actor.objects.get(user=person).pk}
    assert rolled_back not in spoke


class ReadsFromAReplica:
    """There is none here: whatever is read from it fails."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


def test_what_decides_is_not_read_from_a_replica(person: Any, rooms: list[Any]) -> None:
    room, own = rooms[2], rooms[0]
    with override_settings(DATABASE_ROUTERS=[ReadsFromAReplica()]):
        started = room.start_turn("question", user=person)
        room.record_turn("question", AIMessage("ok"), user=person, turn_id=started.turn_id)
        room.clear(by=person)
        own.hold(by=person, reason="case 12")
        assert own.is_held()
        own.lift_hold(by=person, reason="settled")
        own.title = "another"
        own.save()
        list(erase_user(person, by=person, reason="request 7"))
        forget_user(person)
        assert Actor.objects.id_of(person) != started.event.actor_id
    assert places_of(WORD) == []


def test_which_user_a_pseudonym_stands_for_never_changes(person: Any, user: Any) -> None:
    Actor.objects.id_of(person)
    actor = Actor.objects.get()
    actor.user = user
    for change in (actor.save, lambda: Actor.objects.update(user=user)):
        with pytest.raises(AppendOnlyError, match="never changes"):
            change()
    assert Actor.objects.get().user == person


@pytest.mark.parametrize("who", ["a guest", "deleted", "never saved"])
def test_nobody_in_particular_has_nothing_that_could_be_erased(
    who: str, rooms: list[Any], django_user_model: Any
) -> None:
    """Without a key, what is everybody's and what is nobody's any more would look like theirs."""
    somebody = django_user_model.objects.create_user("third")
    Actor.objects.id_of(somebody)
    if who == "deleted":
        somebody.delete()
    nobody = {"a guest": AnonymousUser(), "never saved": django_user_model()}.get(who, somebody)
    before = Event.objects.count()
    with pytest.raises(UnknownUser, match="without a primary key"):
        erase_user(nobody, reason="request 7")
    with pytest.raises(UnknownUser):
        forget_user(nobody)
    assert Event.objects.count() == before
    assert Conversation.objects.get(pk=rooms[2].pk).owner_actor_id is None


@pytest.mark.parametrize("which", [0, 2], ids=["their own", "where they spoke"])
def test_who_it_was_in_a_held_conversation_is_evidence(
    person: Any, rooms: list[Any], which: int
) -> None:
    rooms[which].erase(reason="request 6")
    rooms[which].hold(reason="case 12")
    with pytest.raises(LegalHold, match="case 12"):
        forget_user(person)
    with pytest.raises(ErasureIncomplete, match="case 12"):
        list(erase_user(person, reason="request 7", forget=True))
    # As the admin understands it.
    with pytest.raises(ProtectedError, match="protected"):
        person.delete()
    assert Actor.objects.filter(user=person).exists()
    rooms[which].lift_hold(reason="case 12 is settled")
    actor = Actor.objects.get(user=person)
    person.delete()
    assert not Actor.objects.filter(pk=actor.pk).exists()


def test_the_admin_says_that_it_cannot_delete_them(
    person: Any, rooms: list[Any], admin_client: Any
) -> None:
    rooms[0].hold(reason="case 12")
    page = f"/admin/auth/user/{person.pk}/delete/"
    assert b"Cannot delete user" in admin_client.get(page).content
    assert admin_client.post(page, {"post": "yes"}).status_code == 200
    assert Actor.objects.filter(user=person).exists()


@pytest.mark.parametrize(
    "delete",
    [
        lambda actor: Actor.objects.all().delete(),
        lambda actor: Actor.objects.filter(pk=actor.pk).delete(),
        lambda actor: Actor._base_manager.all().delete(),
        lambda actor: actor.delete(),
    ],
    ids=["all", "some", "the base manager's", "one"],
)
def test_no_door_leads_past_a_hold(person: Any, rooms: list[Any], delete: Any) -> None:
    rooms[0].hold(reason="case 12")
    with pytest.raises(LegalHold, match="case 12"), transaction.atomic():
        delete(Actor.objects.get(user=person))
    assert Actor.objects.filter(user=person).exists()


def test_an_owner_without_a_pseudonym_is_evidence_too(person: Any) -> None:
    Conversation.objects.bulk_create([Conversation(user=person)])
    room = Conversation.objects.get()
    room.hold(reason="case 12")
    with pytest.raises((LegalHold, ProtectedError)), transaction.atomic():
        person.delete()
    assert Conversation.objects.get().user == person


def test_a_former_owner_is_evidence_too(person: Any, user: Any) -> None:
    room = Conversation.objects.create()
    for owner in (person, user):
        room.user = owner
        room.save()
    room.hold(reason="case 12")
    with pytest.raises(LegalHold, match="case 12"):
        forget_user(person)


def test_the_database_itself_keeps_what_is_held(person: Any, rooms: list[Any]) -> None:
    """Whatever way led past the lock and the checks."""
    rooms[0].hold(reason="case 12")
    append(rooms[0].pk, [NewEvent(PayloadErased([2], "request 7"))])
    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        events(rooms[0]).filter(version=2).update(payload=None, salt=None)
    assert events(rooms[0]).get(version=2).payload is not None
    rooms[0].lift_hold(reason="settled")
    assert events(rooms[0]).filter(version=2).update(payload=None, salt=None) == 1
