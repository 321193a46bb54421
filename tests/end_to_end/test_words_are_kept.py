"""What a person wrote outlives a reload of the page, and is never said twice or by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from .browser import ChatPage, watched_context
from .database import Database, events_of, types_of
from .gate import Gate
from .model_server import ModelServer
from .project import Project, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
SESSION_ENDED = 4401
NO_STORAGE = """
Object.defineProperty(window, "sessionStorage", {
  get() { throw new DOMException("forbidden", "SecurityError"); }
});
"""
FULL_STORAGE = """
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
"""


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[ChatPage]:
    """ada's page of a room with one turn."""
    with watched_context(browser, sessions["ada"]) as context:
        yield ChatPage(context.new_page(), server, room)


@pytest.fixture
def gate(page: ChatPage) -> Gate:
    gate = Gate(page)
    page.open()
    return gate


def test_a_message_that_waits_is_sent_after_a_reload_and_once(
    page: ChatPage,
    gate: Gate,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "It has arrived.")
    gate.shut()
    page.say(said)
    expect(page.status).to_have_text("Waiting for the connection")
    page.box.fill("And a draft.")
    page.page.reload()
    expect(page.pending).to_contain_text(said)
    expect(page.pending.get_by_text("Waiting for the connection")).to_be_visible()
    expect(page.pending.get_by_role("button", name="Cancel sending")).to_be_visible()
    expect(page.box).to_have_value("And a draft.")
    waiting = page.page.evaluate("() => Object.values(sessionStorage).join()")
    gate.unlock()
    page.expect_last("completed", said, "It has arrived.")
    expect(page.pending).to_be_hidden()
    expect(page.box).to_have_value("And a draft.")
    page.page.reload()
    page.expect_last("completed", said, "It has arrived.")
    expect(page.turns).to_have_count(2)
    events = events_of(database, room)[3:]
    assert types_of(events) == COMPLETED
    assert str(events[0].turn_id) in waiting
    assert len(model_server.requests(said)) == 1


def test_what_waits_can_be_taken_back_after_a_reload(
    page: ChatPage, gate: Gate, database: Database, room: int, words: Callable[[], str]
) -> None:
    said = words()
    gate.shut()
    page.say(said)
    page.page.reload()
    page.pending.get_by_role("button", name="Cancel sending").click()
    expect(page.pending).to_be_hidden()
    expect(page.box).to_have_value(said)
    gate.unlock()
    page.page.reload()
    page.expect_connection("connected")
    expect(page.box).to_have_value(said)
    expect(page.turns).to_have_count(1)
    assert len(events_of(database, room)) == 3


def test_what_may_have_arrived_cannot_be_cancelled_and_is_one_turn(
    page: ChatPage,
    gate: Gate,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Heard the first time.")
    gate.mute = True
    page.say(said)
    expect(page.pending.get_by_text("Sending…")).to_be_visible()
    gate.shut()
    expect(page.pending.get_by_text("Sent. You will see whether it arrived")).to_be_visible()
    expect(page.pending.get_by_role("button", name="Cancel sending")).to_be_hidden()
    gate.unlock()
    page.expect_last("completed", said, "Heard the first time.")
    expect(page.pending).to_be_hidden()
    expect(page.turns).to_have_count(2)
    assert types_of(events_of(database, room)[3:]) == COMPLETED
    assert len(model_server.requests(said)) == 1


def test_what_may_have_arrived_can_be_taken_back_and_the_page_says_so(
    page: ChatPage,
    gate: Gate,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "It had arrived.")
    gate.mute = True
    page.say(said)
    page.pending.get_by_role("button", name="Take the words back").click()
    expect(page.pending).to_be_hidden()
    expect(page.box).to_have_value(said)
    perhaps = "This message may have been sent already. If it has arrived, it will appear above."
    expect(page.notice).to_have_text(perhaps)
    expect(page.status).to_have_text(perhaps)
    gate.shut()
    gate.unlock()
    page.expect_last("completed", said, "It had arrived.")
    expect(page.box).to_have_value("")
    assert types_of(events_of(database, room)[3:]) == COMPLETED


def test_another_person_in_the_same_tab_finds_and_sends_nothing(
    page: ChatPage,
    gate: Gate,
    database: Database,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    gate.shut()
    page.say(said)
    page.box.fill("ada's draft.")
    sign_in_as(page, sessions["bob"])
    gate.unlock()
    # The page is still ada's: its socket is not let in as bob's.
    page.expect_connection("signed-out")
    page.page.reload()
    page.expect_connection("connected")
    expect(page.pending).to_be_hidden()
    expect(page.box).to_have_value("")
    assert "ada" not in page.page.evaluate("() => Object.values(sessionStorage).join()")
    assert not any(said in str(event.payload) for event in events_of(database, room))


@pytest.mark.parametrize("person", ["a guest", "nobody that the page knows"])
def test_the_page_of_a_guest_leaves_nothing_of_a_person(
    person: str, browser: Browser, project: Project, sessions: dict[str, str], room: int
) -> None:
    with (
        project.server("door:application", DJANGO_SETTINGS_MODULE="door_settings") as server,
        watched_context(browser, sessions["ada"]) as context,
    ):
        page = ChatPage(context.new_page(), server, room).open()
        page.box.fill("ada's draft.")
        assert "ada" in page.page.evaluate("() => Object.values(sessionStorage).join()")
        context.clear_cookies()
        door = "door" if person == "a guest" else "impersonal"
        page.page.goto(f"{server.url}/{door}/{room}/")
        page.expect_connection("refused")
        expect(page.box).to_have_value("")
        assert "ada" not in page.page.evaluate("() => Object.values(sessionStorage).join()")


@pytest.mark.parametrize(("hours", "is_kept"), [(11, True), (13, False)])
def test_a_draft_waits_for_half_a_day(
    hours: int, is_kept: bool, page: ChatPage, gate: Gate
) -> None:
    page.box.fill("A draft.")
    earlier = hours * 60 * 60 * 1000
    # When the page is left, it writes nothing that it has written already.
    page.page.evaluate(
        """(earlier) => {
          for (const [key, kept] of Object.entries(sessionStorage)) {
            if (!key.startsWith("turnlog:")) continue;
            const entry = JSON.parse(kept);
            sessionStorage.setItem(key, JSON.stringify({ ...entry, at: entry.at - earlier }));
          }
        }""",
        earlier,
    )
    page.page.reload()
    page.expect_connection("connected")
    expect(page.box).to_have_value("A draft." if is_kept else "")


def test_a_message_that_has_arrived_is_settled_though_its_turn_is_not_shown(
    browser: Browser,
    project: Project,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    first, second = words(), words()
    model_server.answer(first, "One.")
    model_server.answer(second, "Two.")
    more = {"DJANGO_SETTINGS_MODULE": "door_settings", "DOOR_HISTORY": "1"}
    with (
        project.server("door:application", **more) as server,
        watched_context(browser, sessions["ada"]) as context,
    ):
        page = ChatPage(context.new_page(), server, room).open()
        page.say(first)
        page.expect_last("completed", first, "One.")
        [turn_id] = {event.turn_id for event in events_of(database, room)[-2:]}
        page.say(second)
        page.expect_last("completed", second, "Two.")
        page.page.evaluate(
            """([turnId, text]) => {
              const frame = JSON.stringify({ turn_id: turnId, user_text: text });
              for (const [key, kept] of Object.entries(sessionStorage)) {
                if (!key.startsWith("turnlog:")) continue;
                const entry = JSON.parse(kept);
                entry.words.waiting = { turnId, text, frame, tried: true };
                sessionStorage.setItem(key, JSON.stringify(entry));
              }
            }""",
            [turn_id, first],
        )
        page.page.reload()
        page.expect_last("completed", second, "Two.")
        expect(page.turns).to_have_count(1)
        expect(page.pending).to_be_hidden()
        assert first not in page.page.evaluate("() => Object.values(sessionStorage).join()")
    assert types_of(events_of(database, room)[3:]) == 2 * COMPLETED


def test_words_that_came_back_leave_the_box_if_they_had_arrived(
    page: ChatPage,
    gate: Gate,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Heard before the session ended.")
    gate.mute = True
    page.say(said)
    expect(page.pending.get_by_text("Sending…")).to_be_visible()
    gate.close(SESSION_ENDED)
    page.expect_connection("signed-out")
    expect(page.box).to_have_value(said)
    gate.mute = False
    page.page.get_by_role("link", name="Sign in again").click()
    page.expect_last("completed", said, "Heard before the session ended.")
    expect(page.box).to_have_value("")
    assert types_of(events_of(database, room)[3:]) == COMPLETED


def test_words_that_came_back_and_had_not_arrived_are_sent_as_the_same_turn(
    page: ChatPage,
    gate: Gate,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Heard the second time.")
    gate.closes_with = SESSION_ENDED
    page.say(said)
    page.expect_connection("signed-out")
    [turn_id] = page.page.evaluate(
        "() => Object.entries(sessionStorage).filter(([key]) => key.startsWith('turnlog:'))"
        ".map(([, kept]) => JSON.parse(kept).words.draft.returned.turnId)"
    )
    page.page.get_by_role("link", name="Sign in again").click()
    page.expect_connection("connected")
    expect(page.box).to_have_value(said)
    page.box.press("Enter")
    page.expect_last("completed", said, "Heard the second time.")
    expect(page.box).to_have_value("")
    assert types_of(events_of(database, room, turn_id)) == COMPLETED


def sign_in_as(page: ChatPage, session: str) -> None:
    page.page.context.add_cookies(
        [{"name": "sessionid", "value": session, "domain": "127.0.0.1", "path": "/"}]
    )


@pytest.mark.parametrize("storage", [NO_STORAGE, FULL_STORAGE], ids=["forbidden", "full"])
def test_without_a_storage_the_page_works(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str], storage: str
) -> None:
    said = words()
    model_server.answer(said, "Nothing is kept.")
    page.page.add_init_script(storage)
    page.open()
    page.say(said)
    page.expect_last("completed", said, "Nothing is kept.")
    page.page.reload()
    page.expect_last("completed", said, "Nothing is kept.")
    expect(page.pending).to_be_hidden()
