"""Queues of conversations to review: filled once, taken by one, completed by so many."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from tests.everywhere import places_of, problems
from tests.projections.queues import (
    CALM,
    RUDE,
    SCORES,
    Clock,
    counts,
    filled,
    next_of,
    people,
    rooms,
    stream_of,
)
from turnlog.core.errors import LegalHold, QueueRefused, RemarkRefused, UnknownQueue
from turnlog.events import reviews
from turnlog.events.erasure.users import erase_user
from turnlog.events.models import Actor, Conversation, Event
from turnlog.projections.models import Queue, QueueItem, QueueMark, Remark
from turnlog.projections.overview.query import QueryError
from turnlog.projections.queues import acts, sampling, taking
from turnlog.projections.queues.blind import seen_by
from turnlog.projections.queues.deciding import LOCK_SECONDS, agree

pytestmark = pytest.mark.django_db

EVERYTHING = ("check_projections", "rebuild_projections", "check_projections", "verify_log")


@pytest.fixture(autouse=True)
def _scores(settings: Any) -> None:
    settings.TURNLOG = {"SCORES": SCORES}


def require_sound() -> None:
    for command in EVERYTHING:
        call_command(command, stdout=io.StringIO())


# Opening and filling


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"instructions": "x" * 10_001},
        {"scores": ["smell"]},
        {"reviewers": 0},
        {"reviewers": 11},
    ],
)
def test_a_queue_that_cannot_be_is_not_opened(wrong: dict[str, Any], user: Any) -> None:
    with pytest.raises(QueueRefused):
        acts.open_queue(**{"name": "Cups", "by": user, **wrong})
    assert not Conversation.streams.filter(beside__startswith="queue/").exists()


def test_queues_have_numbers_of_their_own(user: Any) -> None:
    rooms(2, user)
    assert [acts.open_queue(name, by=user) for name in ("One", "Two")] == [1, 2]
    assert [str(queue) for queue in Queue.objects.all()] == ["Two", "One"]
    assert not Conversation.objects.exclude(beside=None).exists()
    for number in (0, 3, 2**40):
        with pytest.raises(UnknownQueue):
            acts.fill(number, "", by=user)
    with pytest.raises(QueueRefused):
        acts.set_state(1, "closed", by=user)
    acts.describe(1, "First", "Look twice.", by=user)
    assert str(Queue.objects.get(number=1)) == "First"
    require_sound()


def test_a_conversation_is_in_a_queue_once(user: Any) -> None:
    [first, *_] = rooms(3, user)
    number = acts.open_queue("Cups", by=user)
    one = acts.fill(number, f"id:{first.pk}", by=user)
    assert (one.found, one.added) == (1, 1)
    rest = acts.fill(number, "cup", by=user)
    assert (rest.found, rest.added) == (2, 2)
    again = acts.fill(number, "cup", by=user)
    assert (again.found, again.added) == (0, 0)
    places = list(QueueItem.objects.order_by("place").values_list("place", flat=True))
    assert places == [1, 2, 3]
    [last, *_] = Queue.objects.get().filled
    assert (last["query"], last["seed"]) == ("cup", again.seed)
    with pytest.raises(QueryError):
        acts.fill(number, "colour:red", by=user)
    acts.set_state(number, "archived", by=user)
    with pytest.raises(QueueRefused):
        acts.fill(number, "", by=user)
    require_sound()


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan"), float("inf")])
def test_a_sample_is_some_of_all(percent: float, user: Any) -> None:
    number = acts.open_queue("Cups", by=user)
    with pytest.raises(QueueRefused):
        acts.fill(number, "", by=user, percent=percent)


def test_a_filling_is_bounded(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(4, user)
    number = acts.open_queue("Cups", by=user)
    for name in ("MOST_ITEMS", "MOST_FOUND"):
        with monkeypatch.context() as patch:
            patch.setattr(sampling, name, 3)
            with pytest.raises(QueueRefused, match="at most 3"):
                acts.fill(number, "", by=user)
    assert not QueueItem.objects.exists()
    with monkeypatch.context() as patch:
        patch.setattr(acts, "_BATCH", 3)
        assert acts.fill(number, "", by=user).added == 4
    assert Event.objects.filter(type="ItemsAdded").count() == 2
    require_sound()


NUMBERS = st.integers(1, 2**63 - 1)


@given(NUMBERS, st.floats(0, 100), st.floats(0, 100), st.text(max_size=20))
def test_a_larger_sample_has_what_a_smaller_one_has(
    number: int, one: float, other: float, seed: str
) -> None:
    small, large = sorted((one, other))
    assert sampling.is_chosen(number, small, seed) <= sampling.is_chosen(number, large, seed)
    assert sampling.is_chosen(number, 100, seed)
    assert not sampling.is_chosen(number, 0, seed)


def test_a_seed_chooses_the_same_ones_and_others_others() -> None:
    def chosen(seed: str) -> list[int]:
        return [n for n in range(1, 2_001) if sampling.is_chosen(n, 20, seed)]

    assert chosen("a") == chosen("a") != chosen("b")
    # Six standard deviations of a fair draw.
    assert abs(len(chosen("a")) - 400) < 6 * (2_000 * 0.2 * 0.8) ** 0.5


# Working


def test_two_tabs_of_one_person_are_one_lock_and_two_people_are_two(user: Any) -> None:
    first, second, *_ = rooms(3, user)
    number = filled(user)
    rita, rob = people("rita", "rob")
    assert next_of(number, rita).conversation == first.pk
    before = Event.objects.count()
    assert next_of(number, rita).conversation == first.pk
    assert Event.objects.count() == before
    assert next_of(number, rob).conversation == second.pk
    with pytest.raises(QueueRefused):
        acts.take(number, first.pk, by=rob)
    # Who takes another one lets go of the one they had.
    assert next_of(number, rita, after=1).conversation != first.pk
    acts.take(number, first.pk, by=rob)
    assert QueueMark.objects.filter(kind="claim").count() == 2
    require_sound()


def test_a_lock_expires_unless_it_is_worked_on(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    [room] = rooms(1, user)
    number = filled(user)
    rita, rob = people("rita", "rob")
    next_of(number, rita)
    assert next_of(number, rob).conversation is None
    assert counts(number) == {"in_progress": 1}
    clock.go(seconds=LOCK_SECONDS - 1)
    acts.renew(number, room.pk, by=rob)
    assert next_of(number, rob).conversation is None
    acts.renew(number, room.pk, by=rita)
    clock.go(seconds=LOCK_SECONDS - 1)
    assert next_of(number, rob).conversation is None
    clock.go(seconds=1)
    assert counts(number) == {"pending": 1}
    # What has ended is not renewed: somebody else may have it.
    acts.renew(number, room.pk, by=rita)
    assert next_of(number, rob).conversation == room.pk
    with pytest.raises(QueueRefused):
        acts.complete(number, room.pk, CALM, by=rita)
    assert not Remark.objects.exists()
    clock.go(seconds=LOCK_SECONDS)
    acts.complete(number, room.pk, CALM, by=rita)
    with pytest.raises(QueueRefused):
        acts.complete(number, room.pk, CALM, by=rob)
    require_sound()


def test_work_on_an_item_is_no_event_each_time(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    [room] = rooms(1, user)
    number = filled(user)
    next_of(number, user)
    before = Event.objects.count()
    for _minute in range(30):
        clock.go(minutes=1)
        acts.renew(number, room.pk, by=user)
    assert 0 < Event.objects.count() - before <= 6


def test_who_leaves_an_item_frees_it(user: Any) -> None:
    [room] = rooms(1, user)
    number = filled(user)
    [rita] = people("rita")
    next_of(number, user)
    acts.leave(number, room.pk, by=rita)
    assert next_of(number, rita).conversation is None
    acts.leave(number, room.pk, by=user)
    assert next_of(number, rita).conversation == room.pk


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ([CALM], "completed"),
        ([CALM, CALM], "completed"),
        ([CALM, RUDE], "awaiting"),
        ([CALM, {**CALM, "quality": None}], "awaiting"),
        ([CALM, CALM, {**CALM, "quality": 3.0}], "completed"),
        ([{"tone": None, "quality": None}] * 2, "completed"),
    ],
)
def test_with_the_last_one_it_is_completed_if_all_agree(
    given: list[dict[str, Any]], state: str, user: Any
) -> None:
    [room] = rooms(1, user)
    number = filled(user, reviewers=len(given))
    reviewers = people(*(f"reviewer {n}" for n in range(len(given))))
    for who, scores in zip(reviewers, given, strict=True):
        assert counts(number) == ({"pending": 1} if who is reviewers[0] else {"in_progress": 1})
        acts.complete(number, room.pk, scores, by=who, comment="looked twice")
        with pytest.raises(QueueRefused):
            acts.complete(number, room.pk, scores, by=who)
    assert counts(number) == {state: 1}
    assert Remark.objects.filter(kind="score").count() == 2 * len(given)
    with pytest.raises(QueueRefused):
        acts.complete(number, room.pk, CALM, by=user)
    [lead] = people("lead")
    if state == "awaiting":
        acts.resolve(number, room.pk, RUDE, by=lead)
        assert counts(number) == {"completed": 1}
    with pytest.raises(QueueRefused):
        acts.resolve(number, room.pk, RUDE, by=lead)
    require_sound()


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.sampled_from([None, 1, True, "1"]))))
def test_agreeing_has_no_order(given: list[dict[str, Any]]) -> None:
    assert agree(given, "ab") == agree(given[::-1], "ba")
    if given:
        assert agree([given[0]] * 3, "ab")


def test_one_and_yes_are_not_the_same() -> None:
    assert not agree([{"a": 1}, {"a": True}], "a")
    assert not agree([{"a": 1}, {"a": "1"}], "a")
    assert agree([{"a": 1}, {"a": 1.0}], "a")


def test_a_completion_is_whole_or_nothing(user: Any) -> None:
    [room] = rooms(1, user)
    other = Conversation.objects.create(user=user)
    number = filled(user)
    for where, scores, refused in (
        (room, {"tone": "calm"}, QueueRefused),
        (room, {**CALM, "tone": "blue"}, RemarkRefused),
        (other, CALM, QueueRefused),
    ):
        with pytest.raises(refused):
            acts.complete(number, where.pk, scores, by=user)
    acts.set_state(number, "paused", by=user)
    for act in (
        lambda: acts.complete(number, room.pk, CALM, by=user),
        lambda: acts.flag(number, room.pk, "odd", by=user),
        lambda: next_of(number, user),
    ):
        with pytest.raises(QueueRefused):
            act()
    assert not Remark.objects.exists()
    assert not QueueMark.objects.exists()


def test_a_queue_may_ask_for_no_scores(user: Any) -> None:
    [room] = rooms(1, user)
    number = acts.open_queue("Cups", by=user, scores=[])
    acts.fill(number, "", by=user)
    acts.complete(number, room.pk, {}, by=user)
    assert counts(number) == {"completed": 1}
    assert not Remark.objects.exists()


def test_a_score_that_the_settings_have_lost_is_not_asked_for(user: Any, settings: Any) -> None:
    [room] = rooms(1, user)
    number = filled(user)
    settings.TURNLOG = {"SCORES": {"tone": ["calm", "rude"]}}
    acts.complete(number, room.pk, {"tone": "calm"}, by=user)
    assert counts(number) == {"completed": 1}


def test_flags_stay_on_record_and_somebody_decides(user: Any) -> None:
    first, second = rooms(2, user)
    number = filled(user, reviewers=2)
    rita, lead = people("rita", "lead")
    for reason in ("", "  ", "x" * 2_001):
        with pytest.raises(QueueRefused):
            acts.flag(number, first.pk, reason, by=rita)
    next_of(number, rita)
    acts.flag(number, first.pk, "in a language that I cannot read", by=rita)
    acts.flag(number, first.pk, "nor can I", by=user)
    assert counts(number) == {"pending": 1, "flagged": 1}
    assert next_of(number, rita).conversation == second.pk
    acts.put_back(number, first.pk, by=lead)
    assert next_of(number, rita, after=2).conversation == first.pk
    acts.complete(number, first.pk, CALM, by=rita)
    acts.complete(number, first.pk, RUDE, by=user)
    acts.flag(number, first.pk, "we disagree", by=user)
    acts.put_back(number, first.pk, by=lead)
    assert counts(number)["awaiting"] == 1
    acts.flag(number, first.pk, "still", by=user)
    acts.resolve(number, first.pk, CALM, by=lead)
    with pytest.raises(QueueRefused):
        acts.flag(number, first.pk, "late", by=user)
    with pytest.raises(QueueRefused):
        acts.put_back(number, first.pk, by=lead)
    assert QueueMark.objects.filter(kind="flag").count() == 4
    require_sound()


# What is skipped


def test_what_is_erased_or_not_to_be_seen_is_skipped_and_said(user: Any) -> None:
    erased, hidden, left = rooms(3, user)
    number = filled(user)
    next_of(number, user)
    erased.erase(reason="request 1")

    def may_see(room: Any) -> bool:
        return bool(room.pk != hidden.pk)

    # Also while it is reserved.
    taken = taking.take_next(number, by=user, may_see=may_see)
    assert (taken.conversation, taken.skipped) == (left.pk, 2)
    assert counts(number) == {"gone": 1, "pending": 1, "in_progress": 1}
    acts.complete(number, left.pk, CALM, by=user)
    assert taking.take_next(number, by=user, may_see=may_see).skipped == 1
    require_sound()


def test_one_request_looks_at_some_items_and_says_where_it_stopped(
    user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rooms(7, user)
    number = filled(user)
    monkeypatch.setattr(taking, "_PAGE", 2)
    monkeypatch.setattr(taking, "_EXAMINED", 4)

    def take(after: int | None) -> taking.Taken:
        return taking.take_next(
            number, by=user, may_see=lambda room: bool(room.pk == made[-1].pk), after=after
        )

    first = take(None)
    assert (first.conversation, first.skipped, first.further) == (None, 4, 4)
    assert take(first.further).conversation == made[-1].pk


def test_the_next_one_takes_as_many_queries_however_long_the_queue(user: Any) -> None:
    rooms(3, user)
    number = filled(user)
    seen = []
    for more in (0, 60):
        rooms(more, user)
        acts.fill(number, "", by=user)
        [who] = people(f"reviewer {more}")
        next_of(number, who)
        with CaptureQueriesContext(connection) as queries:
            next_of(number, who, after=1)
        seen.append(len(queries))
    assert seen[0] == seen[1]


# At once


@pytest.mark.django_db(transaction=True)
def test_as_many_as_there_are_get_an_item_each(user: Any) -> None:
    made = rooms(6, user)
    number = filled(user)
    many = people(*(f"reviewer {n}" for n in range(4)))

    def take(who: Any) -> int | None:
        try:
            return next_of(number, who).conversation
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(many)) as threads:
        taken = list(threads.map(take, many))
    assert len(set(taken)) == len(many)
    assert set(taken) <= {room.pk for room in made}
    require_sound()


@pytest.mark.django_db(transaction=True)
def test_never_more_complete_an_item_than_are_needed(user: Any) -> None:
    [room] = rooms(1, user)
    number = filled(user, reviewers=2)
    many = people(*(f"reviewer {n}" for n in range(5)))

    def complete(who: Any) -> bool:
        try:
            acts.complete(number, room.pk, CALM, by=who)
        except QueueRefused:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(len(many)) as threads:
        done = list(threads.map(complete, many))
    assert done.count(True) == 2
    assert counts(number) == {"completed": 1}
    # Nor is a score left of those who were refused.
    assert Remark.objects.filter(kind="score").count() == 4
    assert problems() == []


@pytest.mark.django_db(transaction=True)
def test_people_complete_items_while_conversations_are_erased(user: Any) -> None:
    """Nobody waits for somebody who waits for them."""
    made = rooms(6, user)
    number, other = filled(user), filled(user)
    rita, rob = people("rita", "rob")

    def review(who: Any, queue: int, order: list[Conversation]) -> None:
        try:
            for room in order:
                acts.complete(queue, room.pk, CALM, by=who)
                acts.flag(other, room.pk, "odd", by=who)
        finally:
            connections.close_all()

    def erase() -> None:
        try:
            for room in made[1::2]:
                room.erase(reason="request 1")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        begun = [
            threads.submit(review, rita, number, made[::2]),
            threads.submit(review, rob, number, made[1::2]),
            threads.submit(erase),
        ]
        for each in begun:
            each.result()
    assert counts(number) == {"completed": 6}
    assert counts(other) == {"flagged": 6}
    assert problems() == []
    require_sound()


@pytest.mark.django_db(transaction=True)
def test_two_who_open_a_queue_at_once_open_two(user: Any) -> None:
    def open_one(name: str) -> int:
        try:
            return acts.open_queue(name, by=user)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(open_one, ("One", "Two", "Three"))) == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_two_who_fill_a_queue_at_once_bring_each_conversation_once(user: Any) -> None:
    rooms(5, user)
    number = acts.open_queue("Cups", by=user)

    def fill(query: str) -> int:
        try:
            return acts.fill(number, query, by=user).added
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(fill, ("", "cup"))) == 5
    assert QueueItem.objects.count() == 5
    require_sound()


# Blind until done


def test_who_sees_whose_scores_and_when(user: Any) -> None:
    """Each line: what happens, and then who sees scores by rita and by rob."""
    [room] = rooms(1, user)
    number = filled(user, reviewers=2)
    rita, rob, rhea, lead = people("rita", "rob", "rhea", "lead")
    reviews.add_note(room.pk, "about milk", by=rob)

    def seen(who: Any) -> set[str]:
        remarks = Remark.objects.filter(conversation=room.pk)
        rows = list(seen_by(who, remarks, resolves=who is lead))
        assert [row.text for row in rows if row.kind == "note"] == ["about milk"]
        scores = {row.actor_id for row in rows if row.kind == "score"}
        mine = Actor.objects.filter(pk__in=scores).values_list("user__username", flat=True)
        return set(mine)

    both, none = {"rita", "rob"}, set[str]()
    # Rhea reviews nothing here; the lead resolves.
    acts.complete(number, room.pk, CALM, by=rita)
    assert [seen(who) for who in (rita, rob, rhea, lead, user)] == [{"rita"}, *[none] * 4]
    acts.set_state(number, "paused", by=lead)
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [{"rita"}] * 4
    acts.set_state(number, "active", by=lead)
    reviews.give_score(room.pk, "tone", "rude", by=rob)
    # Rita has completed it, and sees what others give; rob sees his own alone.
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [both, {"rob"}, none, none]
    acts.complete(number, room.pk, RUDE, by=rob)
    assert counts(number) == {"awaiting": 1}
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [both, both, none, both]
    acts.flag(number, room.pk, "hard to say", by=rhea)
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [both, both, none, none]
    acts.resolve(number, room.pk, RUDE, by=lead)
    everybody = both | {"lead"}
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [everybody] * 4
    # In another queue, it begins anew.
    filled(user, reviewers=2)
    assert [seen(who) for who in (rita, rob, rhea, lead)] == [{"rita"}, {"rob"}, none, {"lead"}]


# Erased


def test_what_was_said_of_an_erased_conversation_is_erased_everywhere(user: Any) -> None:
    first, second = rooms(2, user)
    number = filled(user, reviewers=2)
    other = filled(user)
    acts.complete(number, first.pk, CALM, by=user, comment="Zebrafink")
    acts.flag(number, first.pk, "says Zebrafink", by=user)
    acts.flag(other, first.pk, "Zebrafink again", by=user)
    acts.flag(other, second.pk, "a tea", by=user)
    turn = Event.objects.filter(stream_id=first.pk, turn_id__isnull=False).first()
    assert turn is not None
    # A reason is about the conversation: it goes if all of that does.
    first.erase([turn.turn_id], reason="request 1")
    assert places_of("Zebrafink again")
    receipt = first.erase(reason="request 2")
    assert places_of("Zebrafink") == []
    assert places_of("a tea")
    assert {each.conversation for each in receipt.forks} >= {stream_of(number), stream_of(other)}
    done = QueueMark.objects.get(kind="done")
    assert (done.scores, done.words) == ("{}", None)
    assert counts(number) == {"pending": 1, "flagged": 1}
    require_sound()


def test_a_hold_on_a_queue_keeps_its_words(user: Any) -> None:
    [room] = rooms(1, user)
    number = filled(user)
    acts.flag(number, room.pk, "odd", by=user)
    Conversation.streams.get(pk=stream_of(number)).hold(reason="case 1")
    with pytest.raises(LegalHold):
        room.erase(reason="request 1")
    assert QueueMark.objects.get(kind="flag").reason == "odd"


def test_a_queue_outlives_who_opened_it(user: Any) -> None:
    rooms(2, user)
    [lead] = people("lead")
    number = filled(lead)
    list(erase_user(lead, reason="request 1", forget=True))
    queue = Queue.objects.get()
    assert (queue.name, queue.instructions, queue.filled) == ("", "", [])
    assert str(queue) == f"#{number}"
    assert counts(number) == {"pending": 2}
    assert next_of(number, user).conversation is not None
    require_sound()


# The command


def run(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("fill_review_queue", *arguments, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def test_the_command_fills_a_queue(user: Any) -> None:
    made = rooms(20, user)
    number = acts.open_queue("Cups", by=user)
    told = run(str(number), "--query", "cup", "--percent", "50", "--seed", "winter")
    chosen = [room.pk for room in made if sampling.is_chosen(room.pk, 50, "winter")]
    assert told == {"queue": number, "found": 20, "added": len(chosen), "seed": "winter"}
    assert list(QueueItem.objects.values_list("conversation_id", flat=True)) == chosen
    # Every night again: what was not chosen once is not chosen by the same seed later.
    again = run(str(number), "--query", "cup", "--percent", "50", "--seed", "winter")
    assert again["added"] == 0
    told = run(str(number), "--query=-has:note -reviewed:me", "--by", user.username)
    assert told["added"] == 20 - len(chosen)


@pytest.mark.parametrize(
    "arguments",
    [
        ("7",),
        ("1", "--query", "colour:red"),
        ("1", "--percent", "0"),
        ("1", "--query", "reviewed:me"),
        ("1", "--by", "nobody"),
    ],
)
def test_a_command_that_cannot_run_says_why(arguments: tuple[str, ...], user: Any) -> None:
    acts.open_queue("Cups", by=user)
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 2
