"""An append that goes by a remembered head: one statement where that is still the head, and the
ordinary way, with the same result, where it is not."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase
from langchain_core.messages import AIMessage

from tests.waiting import somebody_waits
from turnlog.core import codec
from turnlog.core.errors import TurnConflict, TurnInProgress
from turnlog.events import attempt, hooks, log, standing
from turnlog.events.attempt import Attempt
from turnlog.events.erasure.forgetting import forget_user
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Content, Conversation, Event, Pending, Position, Runner
from turnlog.events.prompt import Prompt
from turnlog.events.proof.verification import Verifier
from turnlog.events.standing import Memory, Standing
from turnlog.events.store.dialect import dialect_of
from turnlog.events.store.sequence import sequence
from turnlog.events.tables.actor import Actor
from turnlog.events.types import ConversationCleared, EventData, MessageAppended
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.registry import named

pytestmark = pytest.mark.django_db(transaction=True)

POSTGRESQL_ONLY = pytest.mark.postgresql


@pytest.fixture
def room() -> Conversation:
    """A conversation whose head this process remembers."""
    room = Conversation.objects.create()
    room.record_turn("a", AIMessage("b"))
    room.record_turn("c", AIMessage("d"))
    return room


def texts(room: Conversation) -> list[str]:
    return [message.content.content for message in room.messages.order_by("version")]


def require_whole(*rooms: Conversation) -> None:
    assert [str(problem) for problem in Verifier().whole()] == []
    for room in rooms:
        versions = [event.version for event in read(room.pk)]
        assert versions == list(range(1, len(versions) + 1))
    assert differences(named(["messages"])[0], [room.pk for room in rooms]) == {}
    sequence()  # Each append has left its row.
    assert not Pending.objects.exists()
    assert Position.objects.count() == Event.objects.count()


def elsewhere(work: Callable[[], Any]) -> None:
    """Do something in another thread, hence by another connection, without this one's memory."""

    def with_own_memory() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=with_own_memory)
    thread.start()
    thread.join()


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The streams that were appended to the ordinary way."""
    seen: list[int] = []
    original = Attempt.in_transaction

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(self.stream_id)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Attempt, "in_transaction", noted)
    return seen


@POSTGRESQL_ONLY
def test_a_completion_is_one_statement_and_a_start_at_most_two(room: Conversation) -> None:
    room.start_turn("e")
    room.fail_turn(_open_turn(room))
    turn_id = uuid.uuid4()
    with CaptureQueriesContext(connection) as start:
        room.start_turn("f", turn_id=turn_id)
    with CaptureQueriesContext(connection) as completion:
        room.record_turn("f", AIMessage("g"), turn_id=turn_id)
    written = [q["sql"] for q in start if "NOTIFY" not in q["sql"]]
    assert len(written) == 2, written
    assert len([q for q in completion if "NOTIFY" not in q["sql"]]) == 1
    assert texts(room)[-2:] == ["f", "g"]
    require_whole(room)


def _open_turn(room: Conversation) -> uuid.UUID:
    started = Event.objects.filter(stream_id=room.pk, type="TurnStarted").latest("version")
    assert started.turn_id is not None
    return started.turn_id


def test_an_outdated_memory_is_noticed(room: Conversation, ordinary: list[int]) -> None:
    remembered = standing.memory.recall(room.pk, None)
    room.clear()
    assert remembered is not None
    standing.memory.keep(room.pk, remembered)
    room.record_turn("e", AIMessage("f"))
    assert ordinary[-1] == room.pk
    assert texts(room) == ["e", "f"]
    require_whole(room)


def test_a_memory_of_another_log_is_noticed(room: Conversation) -> None:
    """As after a restore, a rollback or a test's flush: the numbers fit, the hash does not."""
    head = standing.memory.recall(room.pk, None)
    assert head is not None
    standing.memory.keep(room.pk, head._replace(hash=b"\1" * 32))
    room.record_turn("e", AIMessage("f"))
    assert texts(room)[-2:] == ["e", "f"]
    require_whole(room)


def test_an_outdated_memory_refuses_nothing(room: Conversation) -> None:
    expected = Event.objects.filter(stream_id=room.pk).count()
    standing.memory.keep(room.pk, Standing(99, b"\1" * 32))
    assert append(room.pk, [NewEvent(ConversationCleared())], expected_version=expected)
    turn = room.start_turn("e")
    elsewhere(lambda: room.fail_turn(turn.turn_id))
    assert room.start_turn("f").created


def test_a_turn_that_is_open_is_seen(room: Conversation) -> None:
    turn = room.start_turn("e")
    with pytest.raises(TurnInProgress):
        room.start_turn("f")
    room.record_turn("e", AIMessage("f"), turn_id=turn.turn_id)
    with pytest.raises(TurnConflict):
        room.record_turn("e", AIMessage("another"), turn_id=turn.turn_id)
    assert len(room.record_turn("e", AIMessage("f"), turn_id=turn.turn_id)) == 2
    require_whole(room)


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_faster_writer_is_not_overwritten(
    room: Conversation, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another writer comes between the decision and the insert."""
    dialect = type(dialect_of(connection))
    original = dialect.insert_after
    raced: list[int] = []

    def overtaken(self: Any, *arguments: Any) -> Any:
        if not raced:
            raced.append(1)
            elsewhere(lambda: room.record_turn("faster", AIMessage("yes")))
            if moment == "within":
                raise IntegrityError  # What a unique violation looks like to us.
        return original(self, *arguments)

    # As from another process: threads of one take turns.
    monkeypatch.setattr(Memory, "alone", lambda *arguments: nullcontext())
    monkeypatch.setattr(dialect, "insert_after", overtaken)
    room.record_turn("slower", AIMessage("yes"))
    assert texts(room)[-4:] == ["faster", "yes", "slower", "yes"]
    require_whole(room)


def test_an_integrity_error_of_another_cause_is_raised(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *arguments: Any) -> Any:
        raise IntegrityError("of an inline projection")

    monkeypatch.setattr(type(dialect_of(connection)), "insert_after", broken)
    with pytest.raises(IntegrityError, match="inline projection"):
        room.record_turn("e", AIMessage("f"))
    assert texts(room) == ["a", "b", "c", "d"]


@POSTGRESQL_ONLY
def test_it_waits_for_a_rebuild_of_its_stream_and_is_not_lost(room: Conversation) -> None:
    locked, recorded = threading.Event(), threading.Event()

    def rebuild() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            dialect_of(connection).lock_streams(cursor, [room.pk])
            locked.set()
            while not somebody_waits("advisory"):
                recorded.wait(0.01)
            assert not recorded.is_set()

    thread = threading.Thread(target=lambda: (rebuild(), connection.close()))
    thread.start()
    locked.wait(30)
    room.record_turn("e", AIMessage("f"))
    recorded.set()
    thread.join()
    assert texts(room)[-2:] == ["e", "f"]
    require_whole(room)


def test_texts_and_runners_are_there_with_the_turn_that_names_them(room: Conversation) -> None:
    prompt = Prompt("m", system_prompt="You are a tutor.", previous={"messages": []})
    for _ in range(2):
        # Removed by other means, as by an erasure or a flush; this process believes otherwise.
        Content.objects.all().delete()
        Runner.objects.all().delete()
        turn = room.start_turn("e", prompt=prompt)
        assert Content.objects.get().text == "You are a tutor."
        assert str(Runner.objects.get().pk) == turn.event.meta["runner"]
        room.record_turn("e", AIMessage("f"), turn_id=turn.turn_id)
    assert standing.memory.recall(room.pk, None) is not None
    require_whole(room)


@POSTGRESQL_ONLY
def test_an_erasure_of_an_unused_text_waits_for_the_start_that_uses_it(room: Conversation) -> None:
    """The row is locked within the statement, as `Content.objects.keep` locks it."""
    prompt = Prompt("m", system_prompt="shared", previous={"messages": []})
    turn = room.start_turn("e", prompt=prompt)
    room.record_turn("e", AIMessage("f"), turn_id=turn.turn_id)
    with CaptureQueriesContext(connection) as queries:
        room.start_turn("g", prompt=prompt)
    [insert] = [q["sql"] for q in queries if "INSERT INTO turnlog_event" in q["sql"]]
    assert "FROM turnlog_content" in insert
    assert "FOR KEY SHARE" in insert[insert.index("FROM turnlog_content") :]


def test_an_inline_projection_in_python_goes_with_the_transaction(
    room: Conversation, monkeypatch: pytest.MonkeyPatch, ordinary: list[int]
) -> None:
    class Following:
        insert = ""
        seen: list[int] = []

        def follows(self, events: Any) -> bool:
            return True

        def follow(self, events: Any) -> None:
            assert connection.in_atomic_block
            self.seen += [event.version for event in events]

    monkeypatch.setattr(hooks, "inline_projections", [*hooks.inline_projections, Following()])
    events = room.record_turn("e", AIMessage("f"))
    assert Following.seen == [event.version for event in events]
    assert ordinary == [room.pk]


def test_within_a_transaction_nothing_is_remembered(room: Conversation) -> None:
    before = standing.memory.recall(room.pk, None)
    with transaction.atomic():
        room.record_turn("e", AIMessage("f"))
        transaction.set_rollback(True)
    assert standing.memory.recall(room.pk, None) == before
    room.record_turn("g", AIMessage("h"))
    assert texts(room) == ["a", "b", "c", "d", "g", "h"]
    require_whole(room)


def test_many_threads_lose_and_tear_nothing(room: Conversation) -> None:
    def work(number: int) -> None:
        for n in range(10):
            room.record_turn(f"{number} {n}", AIMessage(f"{number} {n}"))
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    said = texts(room)[4:]
    assert said[::2] == said[1::2]
    assert sorted(set(said)) == sorted(f"{number} {n}" for number in range(8) for n in range(10))
    require_whole(room)


def test_a_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_REMEMBERED", 3)
    memory = Memory()
    for stream in (1, 2, 3, 1, 4):
        memory.keep(stream, Standing(stream, bytes(32)))
    assert [stream for stream in range(1, 5) if memory.recall(stream, None)] == [1, 3, 4]


class TheLaw(TransactionTestCase):
    """Whichever of two processes does what, in whatever order: the log is whole, and what each was
    told has happened is there once."""

    @settings(max_examples=20)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 1),  # which process
                st.integers(0, 1),  # which conversation
                st.sampled_from(["record", "start", "finish", "fail", "clear", "again"]),
            ),
            max_size=12,
        )
    )
    def test_two_processes(self, actions: list[tuple[int, int, str]]) -> None:
        rooms = [Conversation.objects.create() for _ in range(2)]
        memories = [Memory(), Memory()]
        opened: list[uuid.UUID | None] = [None, None]
        done: list[tuple[uuid.UUID, str]] = []
        with pytest.MonkeyPatch.context() as patch:
            for process, number, action in actions:
                for module in (attempt, log):
                    patch.setattr(module, "memory", memories[process])
                self.act(action, rooms[number], number, opened, done)
        require_whole(*rooms)
        for turn_id, text in done:
            events = Event.objects.filter(turn_id=turn_id, type="MessageAppended")
            said = [event.data.message["_value"]["content"] for event in events]  # type: ignore[union-attr]
            assert said == [text, text]

    def act(
        self,
        action: str,
        room: Conversation,
        number: int,
        opened: list[uuid.UUID | None],
        done: list[tuple[uuid.UUID, str]],
    ) -> None:
        turn_id = opened[number]
        if action == "start":
            try:
                opened[number] = room.start_turn("s").turn_id
            except TurnInProgress:
                assert turn_id is not None
        elif action == "record":
            done.append((uuid.uuid4(), f"r {len(done)}"))
            room.record_turn(done[-1][1], done[-1][1], turn_id=done[-1][0])
        elif action == "again" and done:
            again, text = done[-1]
            home = Event.objects.filter(turn_id=again).values_list("stream_id", flat=True)[0]
            Conversation(pk=home).record_turn(text, text, turn_id=again)
        elif action == "clear":
            room.clear()
        elif turn_id is not None and action == "finish":
            room.record_turn("s", "s", turn_id=turn_id)
            done.append((turn_id, "s"))
            opened[number] = None
        elif turn_id is not None and action == "fail":
            room.fail_turn(turn_id)
            opened[number] = None


@pytest.mark.parametrize("way", ["at once", "in a transaction"])
def test_a_receiver_that_fails_disturbs_neither_the_append_nor_the_others(
    room: Conversation, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    told: list[Any] = []

    def broken(events: Any) -> None:
        raise RuntimeError("no layer")

    monkeypatch.setattr(hooks, "after_commit", [broken, told.append])
    if way == "at once":
        events = room.record_turn("e", AIMessage("f"))
    else:
        with transaction.atomic():
            events = room.record_turn("e", AIMessage("f"))
    assert told == [events]
    assert texts(room)[-2:] == ["e", "f"]


def test_metadata_cannot_pretend_to_be_another_runner(room: Conversation) -> None:
    turn = room.start_turn("e", metadata={"runner": "batch-7"})
    assert uuid.UUID(turn.event.meta["runner"]) == Runner.objects.get().pk


def test_a_transaction_does_not_hold_the_heartbeat(room: Conversation) -> None:
    room.start_turn("e")
    before = Runner.objects.get().heartbeat
    other = Conversation.objects.create()
    with transaction.atomic():
        other.start_turn("f")
        assert Runner.objects.get().heartbeat == before


class Gathering:
    """A decision for which something long is read; it counts how often."""

    def __init__(self, room: Conversation, user: Any, data: EventData) -> None:
        self.room, self.event, self.standings = room, NewEvent(data, user=user), list[Standing]()

    def gather(self, standing: Standing) -> int:
        self.standings.append(standing)
        return standing.version

    def append(self) -> Event:
        return log.append_decided(self.room.pk, lambda *_: [self.event], self.gather)[-1]


TAKING_A_TRANSACTION = [ConversationCleared(), MessageAppended(codec.encode("x" * 70_000))]


@pytest.mark.parametrize("data", TAKING_A_TRANSACTION, ids=["follows", "blobs"])
@pytest.mark.parametrize("remembered", [True, False])
def test_what_takes_a_transaction_is_decided_once_and_before_it(
    data: EventData, remembered: bool, room: Conversation, user: Any, monkeypatch: Any
) -> None:
    if not remembered:
        monkeypatch.setattr(attempt, "memory", Memory())
    gathering = Gathering(room, user, data)
    assert gathering.append().version == gathering.standings[0].version + 1
    assert len(gathering.standings) == 1
    require_whole(room)


@pytest.mark.parametrize("data", TAKING_A_TRANSACTION, ids=["follows", "blobs"])
@pytest.mark.parametrize("what", ["head", "person"])
def test_what_was_decided_before_the_transaction_is_decided_again_if_it_may_not_hold(
    what: str, data: EventData, room: Conversation, user: Any, monkeypatch: Any
) -> None:
    room.record_turn("e", AIMessage("f"), user=user)
    before = Actor.objects.known(user)
    original = log.appending

    def meanwhile(using: str) -> Any:
        """The transaction begins, after a wait for this."""
        monkeypatch.setattr(log, "appending", original)
        if what == "person":
            forget_user(user)
        else:
            append(room.pk, [NewEvent(MessageAppended(codec.encode(AIMessage("g"))))])
        return original(using)

    monkeypatch.setattr(log, "appending", meanwhile)
    gathering = Gathering(room, user, data)
    stored = gathering.append()
    assert len(gathering.standings) == 2
    assert stored.version == gathering.standings[1].version + 1
    assert (stored.actor_id == before) == (what == "head")
    require_whole(room)
