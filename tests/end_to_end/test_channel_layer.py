"""Two server processes on one database, joined by Channels' channel layer in a real Redis.

Where live following is tested, the model is held: it goes on only when the other process has
shown what was said so far. What is only polled from the log at the end cannot pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import answer_of, chat_page
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .redis_server import Redis, missing, running_redis
from .scripted_model import DONE, ScriptedModel, delta, endless
from .socket_client import Chat, Frame, chat, is_answer, is_standing, text_of
from .test_clearing import clear_elsewhere, clear_within

pytestmark = pytest.mark.slow_once

ENDED = {"MessageAppended", "TurnFailed"}
COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
PATH = "/ws/example/chat/{}/"
SCRIPTED = "/ws/scripted/{}/"
AT_ONCE = 5
"""Seconds. A page says ping every 25, and nobody looks at the log before that."""
HOLD = b""
END = delta("", "stop") + DONE


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if what := missing():
        if os.environ.get("TURNLOG_REQUIRE_REDIS") == "1":
            pytest.fail(f"{what}, and TURNLOG_REQUIRE_REDIS=1", pytrace=False)
        pytest.skip(f"{what}: no channel layer that joins processes")
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def mortal_redis(redis: Redis) -> Iterator[Redis]:
    """Everybody's, to be killed; there again afterwards."""
    yield redis
    redis.kill()
    redis.start()


@pytest.fixture(scope="module")
def project(project: Project, redis: Redis) -> Project:
    """All its processes are joined, commands too."""
    project.database.environment.update(redis.environment)
    return project


@pytest.fixture(scope="module")
def server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    with project.server("more_chats:application", SCRIPTED_URL=scripted_model.url) as server:
        yield server


@pytest.fixture(scope="module")
def other_server(project: Project) -> Iterator[Server]:
    with project.server() as server:
        yield server


def tool_call(name: str, /, **arguments: Any) -> bytes:
    """The end of a stream: the model wants a tool called."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    return b"data: " + json.dumps({**chunk, "model": "m", "choices": [choice]}).encode() + b"\n\n"


@contextlib.contextmanager
def held(model: ScriptedModel, *answers: list[bytes]) -> Iterator[Callable[[], None]]:
    """Let the model give these answers, one for each request. At each HOLD it waits until the
    test calls what it is given here."""
    rounds = iter(answers)
    going_on = threading.Semaphore(0)

    def script(request: dict[str, Any]) -> Iterator[bytes]:
        for part in next(rounds):
            if part == HOLD:
                going_on.acquire(timeout=30)
            else:
                yield part

    model.script = script
    try:
        yield going_on.release
    finally:
        going_on.release(sum(answer.count(HOLD) for answer in answers))


def shown_to(client: Chat, turn_id: str, words: str) -> None:
    """Wait until a client that has followed from the start has been given these words."""
    while words not in text_of(client.frames, turn_id):
        client.until(lambda frame: is_answer(frame, turn_id))


def said_to(client: Chat, turn_id: str) -> list[Frame]:
    """Every frame that a client was sent about a turn."""
    return [frame for frame in client.frames if str(frame.get("id", "")).startswith(turn_id)]


@pytest.mark.browser
def test_a_turn_that_runs_in_one_is_followed_live_in_the_other(
    browser: Browser,
    server: Server,
    other_server: Server,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    menu = [delta("I look into the menu.\n\n"), HOLD, tool_call("look_up_price", name="拿铁"), DONE]
    price = [HOLD, delta("A **latte** "), HOLD, delta("is 32 yuan.\n\nAnything"), HOLD]
    more = [delta(" else?"), HOLD, END]
    with (
        held(scripted_model, menu, [*price, *more]) as go_on,
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
        chat_page(browser, server, room, sessions["ada"]) as page_here,
        chat_page(browser, other_server, room, sessions["ada"]) as page_there,
    ):
        turn_id = here.say(said)
        card = page_there.last.locator("details.turnlog-tool")

        shown_to(there, turn_id, "into the menu.")
        expect(answer_of(page_there.last)).to_have_text("I look into the menu.")
        expect(page_there.last.locator(".turnlog-human")).to_have_text(said)
        page_there.expect_connection("thinking")
        go_on()

        there.until(lambda frame: frame.get("role") == "tool" and frame["content"] != "")
        expect(card.locator(".turnlog-tool-state")).to_have_attribute("data-status", "ok")
        go_on()

        shown_to(there, turn_id, "A **latte** ")
        expect(page_there.last.locator("strong")).to_have_text("latte")
        go_on()

        shown_to(there, turn_id, "Anything")
        expect(answer_of(page_there.last)).to_contain_text("is 32 yuan. Anything")
        assert is_open(there, turn_id)
        expect(page_there.last).to_have_attribute("data-outcome", "open")
        go_on()

        shown_to(there, turn_id, " else?")
        go_on()

        for client in (here, there):
            client.until_ended(turn_id)
            client.until_quiet()
        for page in (page_here, page_there):
            page.expect_last("completed", said)
            expect(page.turns).to_have_count(2)
            expect(page.last.locator("details.turnlog-tool")).to_have_count(1)
            expect(page.last.locator(".turnlog-tool-output pre")).to_have_text("拿铁: 32元")
            expect(page.last.locator("strong")).to_have_count(1)
        assert page_here.text() == page_there.text()
        as_it_grew = page_there.last.inner_html()
        page_there.page.reload()
        page_there.expect_last("completed", said)
        assert page_there.last.inner_text() == page_here.last.inner_text()
        assert as_it_grew.count("<details") == page_there.last.inner_html().count("<details") == 1

    assert text_of(there.frames, turn_id) == text_of(here.frames, turn_id)
    for client in (here, there):
        frames = said_to(client, turn_id)
        assert [f["content"] for f in frames if f.get("role") == "user"] == [said]
        tools = [(f["mode"], f["content"]) for f in frames if f.get("role") == "tool"]
        assert tools == [("overwrite", ""), ("append", "拿铁: 32元")]
        assert [f["outcome"] for f in frames if f.get("type") == "turn"] == ["open", "completed"]
        # What was followed to its end is not sent a second time.
        assert {f["mode"] for f in frames if f.get("role") == "assistant"} == {"append"}
    assert types_of(events_of(database, room, turn_id)) == [
        *("TurnStarted", "MessageAppended", "ModelCallRecorded", "ToolOutputRecorded"),
        *("ModelCallRecorded", "MessageAppended"),
    ]


def is_open(client: Chat, turn_id: str) -> bool:
    return [f["outcome"] for f in client.frames if is_standing(f, turn_id)] == ["open"]


@pytest.mark.browser
def test_who_comes_in_mid_answer_is_shown_what_has_been_said(
    browser: Browser,
    server: Server,
    other_server: Server,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    parts = [delta("The first half, "), HOLD, delta("and the second."), END]
    with (
        held(scripted_model, parts) as go_on,
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as early,
    ):
        turn_id = here.say(said)
        shown_to(early, turn_id, "The first half, ")
        # The model is silent now, as it is while it thinks or a tool runs.
        with (
            chat(other_server, PATH.format(room), sessions["ada"]) as late,
            chat_page(browser, other_server, room, sessions["ada"]) as page,
        ):
            expect(answer_of(page.last)).to_have_text("The first half,")
            late.until(lambda frame: is_answer(frame, turn_id), AT_ONCE)
            go_on()
            for client in (here, early, late):
                client.until_ended(turn_id)
                client.until_quiet()
            page.expect_last("completed", said, "The first half, and the second.")
    for client in (here, early, late):
        assert text_of(client.frames, turn_id) == "The first half, and the second."
        assert [f["content"] for f in said_to(client, turn_id) if f.get("role") == "user"] == [said]


@pytest.mark.browser
def test_turns_that_come_too_fast_to_be_followed_are_all_there_once(
    browser: Browser,
    server: Server,
    other_server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = [words() for _ in range(6)]
    for number, text in enumerate(said):
        if number % 2:
            model_server.answer(text, f"Answer {number}. " * 5)
        else:
            model_server.call_tool(text, "look_up_price", {"name": "拿铁"}, f"Price {number}.")
    with (
        chat(server, PATH.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
        chat_page(browser, other_server, room, sessions["ada"]) as page,
    ):
        turn_ids = []
        for text in said:
            turn_ids.append(here.say(text))
            here.until_ended(turn_ids[-1])
        there.until_ended(turn_ids[-1], AT_ONCE)
        there.until_quiet()
        page.expect_last("completed", said[-1], ("Answer 5. " * 5).strip())
        expect(page.turns).to_have_count(7)
        expect(page.main.locator("details.turnlog-tool")).to_have_count(3)
        assert [human for human, _ in page.text()][1:] == said
    # The last one of each turn is its answer's.
    recorded = {
        event.turn_id: event.text
        for event in events_of(database, room)[3:]
        if event.type == "MessageAppended"
    }
    for turn_id, text in zip(turn_ids, said, strict=True):
        frames = said_to(there, turn_id)
        assert [f["content"] for f in frames if f.get("role") == "user"] == [text]
        assert [f["outcome"] for f in frames if f.get("type") == "turn"].count("completed") == 1
        assert text_of(there.frames, turn_id) == text_of(here.frames, turn_id) == recorded[turn_id]
    ended = [f["id"] for f in there.frames if f.get("outcome") == "completed"]
    assert [turn_id for turn_id in ended if turn_id in turn_ids] == turn_ids


@pytest.mark.browser
@pytest.mark.parametrize("by", ["page", "client"])
def test_stop_in_one_stops_the_turn_that_runs_in_the_other(
    browser: Browser,
    server: Server,
    other_server: Server,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
    by: str,
) -> None:
    said = words()
    scripted_model.script = endless("This goes on and on. ")
    with (
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
        chat_page(browser, other_server, room, sessions["ada"]) as page,
    ):
        turn_id = here.say(said)
        shown_to(there, turn_id, "on and on.")
        expect(answer_of(page.last)).to_contain_text("on and on.")
        if by == "page":
            page.stop.click()
        else:
            there.send(type="stop", turn_id=turn_id)
        for client in (here, there):
            assert client.until_ended(turn_id, AT_ONCE)[-1]["outcome"] == "cancelled"
        page.expect_last("cancelled", said, "This goes on and on.")
    *_, answer = events = events_of(database, room)[3:]
    assert types_of(events) == ["TurnStarted", "MessageAppended", "MessageAppended"]
    assert answer.metadata["outcome"] == "cancelled"
    assert answer.text == text_of(here.frames, turn_id) == text_of(there.frames, turn_id)


@pytest.mark.browser
@pytest.mark.parametrize("where", ["in a command", "in the other server"])
def test_clearing_elsewhere_empties_an_open_page_at_once(
    browser: Browser,
    server: Server,
    other_server: Server,
    project: Project,
    database: Database,
    sessions: dict[str, str],
    room: int,
    where: str,
) -> None:
    with (
        chat(other_server, PATH.format(room), sessions["ada"]) as client,
        chat_page(browser, other_server, room, sessions["ada"]) as page,
    ):
        expect(page.turns).to_have_count(1)
        client.until(lambda frame: frame.get("type") == "turn")
        if where == "in a command":
            clear_elsewhere(project, room)
        else:
            clear_within(server, room, sessions["ada"])
        expect(page.turns).to_have_count(0, timeout=AT_ONCE * 1000)
        expect(page.page.locator(".turnlog-empty")).to_be_visible()
        client.until(lambda frame: frame.get("type") == "reset", AT_ONCE)
        client.until_quiet()
    assert [f["type"] for f in client.frames if "type" in f].count("reset") == 1
    assert types_of(events_of(database, room)) == [
        *("ConversationOpened", "MessageAppended", "MessageAppended", "ConversationCleared")
    ]


def test_a_turn_that_was_cleared_in_mid_answer_stays_hidden_in_the_other(
    server: Server,
    other_server: Server,
    project: Project,
    database: Database,
    scripted_model: ScriptedModel,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    afresh = words()
    model_server.answer(afresh, "A fresh start.")
    parts = [delta("Hidden "), HOLD, delta("while it was written."), END]
    with (
        held(scripted_model, parts) as go_on,
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
    ):
        turn_id = here.say(words())
        shown_to(there, turn_id, "Hidden ")
        clear_elsewhere(project, room)
        there.until(lambda frame: frame.get("type") == "reset", AT_ONCE)
        before = len(there.frames)
        go_on()
        # Hidden, it says nothing more on any socket: ask the log, with a pong between each time.
        for _ in range(500):
            if ENDED & set(types_of(events_of(database, room, turn_id))):
                break
            here.until_quiet()
        afresh_id = there.say(afresh)
        for client in (there, here):
            client.until_ended(afresh_id)
            client.until_quiet()
    assert {f["id"] for f in there.frames[before:] if "id" in f} == {
        *(afresh_id, f"{afresh_id}-human")
    }
    assert text_of(here.frames, afresh_id) == text_of(there.frames, afresh_id) == "A fresh start."


@pytest.mark.browser
def test_without_redis_a_turn_is_finished_and_everybody_gets_it(
    browser: Browser,
    mortal_redis: Redis,
    server: Server,
    other_server: Server,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    """Redis dies in mid-answer, and does not come back."""
    said = words()
    parts = [delta("Before, "), HOLD, delta("and after."), END]
    with (
        held(scripted_model, parts) as go_on,
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
        chat_page(browser, other_server, room, sessions["ada"]) as page,
    ):
        turn_id = here.say(said)
        shown_to(there, turn_id, "Before, ")
        expect(answer_of(page.last)).to_have_text("Before,")
        mortal_redis.kill()
        go_on()
        # Who is in the process that answers needs no Redis to be told.
        shown_to(here, turn_id, "and after.")
        for client in (here, there):
            assert client.until_ended(turn_id)[-1]["outcome"] == "completed"
            client.until_quiet()
        page.expect_last("completed", said, "Before, and after.")
        expect(page.turns).to_have_count(2)
    assert types_of(events_of(database, room)[3:]) == COMPLETED
    assert events_of(database, room)[-1].text == "Before, and after."
    for client in (here, there):
        assert text_of(client.frames, turn_id) == "Before, and after."
    for process in (server, other_server):
        assert "Traceback" not in process.log


@pytest.mark.browser
def test_who_was_there_before_redis_was_restarted_is_told_again(
    browser: Browser,
    mortal_redis: Redis,
    server: Server,
    other_server: Server,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    """It has forgotten who is in which group."""
    said = words()
    parts = [delta("Here "), HOLD, delta("again."), END]
    with (
        held(scripted_model, parts) as go_on,
        chat(server, SCRIPTED.format(room), sessions["ada"]) as here,
        chat(other_server, PATH.format(room), sessions["ada"]) as there,
        chat_page(browser, other_server, room, sessions["ada"]) as page,
    ):
        mortal_redis.kill()
        mortal_redis.start()
        turn_id = here.say(said)
        # Nobody asks: the page and the client are found again by the processes.
        shown_to(there, turn_id, "Here ")
        expect(answer_of(page.last)).to_have_text("Here", timeout=30_000)
        go_on()
        for client in (here, there):
            client.until_ended(turn_id)
            client.until_quiet()
        page.expect_last("completed", said, "Here again.")
        expect(page.turns).to_have_count(2)
    assert text_of(here.frames, turn_id) == text_of(there.frames, turn_id) == "Here again."
