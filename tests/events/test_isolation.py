"""What turnlog promises holds at every isolation level, or the operation is refused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import checks
from django.db import connection, connections, transaction
from langchain_core.messages import AIMessage

from tests.events.test_erasing import WORD, catch_up, require_sound
from tests.everywhere import places_of
from tests.waiting import somebody_waits
from turnlog.core.errors import IsolationRefused, NotHeld
from turnlog.events.erasure.users import forget_user
from turnlog.events.models import Conversation, Event
from turnlog.events.store import isolation
from turnlog.events.store.sequence import sequence
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.rebuild import rebuild
from turnlog.projections.engine.registry import registered

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def set_level(level: str, how: str) -> None:
    if how == "OPTIONS":
        options = connection.settings_dict.setdefault("OPTIONS", {})
        from psycopg import IsolationLevel

        options["isolation_level"] = IsolationLevel[level.replace(" ", "_")]
    else:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        with connection.cursor() as cursor:
            cursor.execute(
                f"ALTER DATABASE {name} SET default_transaction_isolation = '{level.lower()}'"
            )
    connections.close_all()


@pytest.fixture(params=["REPEATABLE READ", "SERIALIZABLE"])
def level(request: Any) -> Any:
    return request.param


@pytest.fixture(params=["OPTIONS", "the database's default"], autouse=True)
def _at_level(request: Any, level: str) -> Iterator[None]:
    set_level(level, request.param)
    yield
    connection.settings_dict["OPTIONS"].pop("isolation_level", None)
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    connections.close_all()
    isolation._other.clear()


@pytest.fixture
def room() -> Conversation:
    room = Conversation.objects.create(title="x")
    room.record_turn(WORD, AIMessage("ok"))
    return room


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def act() -> None:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 - the test tells of it
            found.append(error)
        finally:
            connections.close_all()

    acting = threading.Thread(target=act)
    acting.start()
    return acting, found


def test_transactions_of_the_project_begin_at_its_level(level: str) -> None:
    """Otherwise these tests show nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == (level.lower(),)


def test_a_fork_that_waited_for_an_erasure_has_none_of_its_words(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnlog.events.erasure import act

    reached, waits = threading.Event(), threading.Event()
    original = act.unused_texts.delete_unused

    def delete_unused(keys: Any) -> None:
        reached.set()
        waits.wait(30)
        original(keys)

    monkeypatch.setattr(act.unused_texts, "delete_unused", delete_unused)
    erasing, receipts = in_thread(lambda: room.erase(reason="request 7"))
    assert reached.wait(30)
    forking, found = in_thread(lambda: Conversation.objects.get(pk=room.pk).fork())
    while forking.is_alive() and not somebody_waits("advisory"):
        forking.join(0.01)
    waits.set()
    erasing.join()
    forking.join()
    assert receipts[0]
    catch_up()
    assert isinstance(found[0], Conversation)
    assert places_of(WORD) == []
    require_sound(room, found[0])


def test_writers_of_one_conversation_all_get_by(room: Conversation) -> None:
    def write(number: int) -> None:
        for turn in range(5):
            room.record_turn(f"{number}/{turn}", AIMessage("ok"))

    writers = [in_thread(lambda number=number: write(number)) for number in range(4)]
    for thread, _ in writers:
        thread.join()
    assert [found for _, found in writers] == [[None]] * 4
    assert Event.objects.filter(stream_id=room.pk).count() == 3 + 40
    require_sound(room)


def test_everything_that_locks_works(room: Conversation, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("ada")
    room.start_turn("one", user=user)
    forked = room.fork()
    room.hold(reason="case 12")
    room.lift_hold(reason="settled")
    sequence()
    catch_up()
    for projection in registered():
        list(rebuild(projection))
        assert differences(projection, [room.pk, forked.pk]) == {}
    forget_user(user)
    forked.erase(reason="request 7")
    require_sound(room, forked)


@pytest.mark.parametrize(
    "work",
    [
        lambda room: room.record_turn("two", AIMessage("ok")),
        lambda room: room.fork(),
        lambda room: room.erase(reason="request 7"),
        lambda room: room.hold(reason="case 12"),
        lambda room: room.lift_hold(reason="case 12"),
    ],
    ids=["record", "fork", "erase", "hold", "lift"],
)
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "at once"])
def test_within_a_transaction_of_another_level_nothing_is_written(
    room: Conversation, work: Callable[[Any], Any], begun: bool, level: str
) -> None:
    before = Event.objects.count(), Conversation.objects.count()
    refused = pytest.raises(IsolationRefused, match=f"at READ COMMITTED, found one at {level}")
    with transaction.atomic():
        if begun:
            Event.objects.exists()
        with refused:
            work(room)
    assert (Event.objects.count(), Conversation.objects.count()) == before
    # At READ COMMITTED the caller's transaction will do.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        with contextlib.suppress(NotHeld):
            work(room)


def test_the_connection_keeps_its_level(room: Conversation, level: str) -> None:
    for work in (room.fork, sequence, lambda: room.record_turn("two", AIMessage("ok"))):
        work()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == (level.lower(),)


def test_a_check_says_what_is_supported(level: str) -> None:
    found = [each for each in checks.run_checks(databases=["default"]) if "W005" in str(each.id)]
    assert [each.level for each in found] == [checks.WARNING]
    assert f"isolation level {level}" in found[0].msg
    assert "OPTIONS" in str(found[0].hint)
