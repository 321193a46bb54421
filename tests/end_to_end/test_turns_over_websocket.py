"""Several turns from a WebSocket client through langchain-openai and HTTP into the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .database import Database, Event, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .scripted_model import DONE, ScriptedModel, delta, endless
from .site.rooms import GREETING, GREETING_ANSWER
from .socket_client import Frame, chat, is_answer, is_notice, text_of

SYSTEM_PROMPT = "You are a language tutor."
LONG_ANSWER = "One after the other, these words come in more than one piece. " * 4


@pytest.fixture(scope="module")
def server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    with project.server("more_chats:application", SCRIPTED_URL=scripted_model.url) as server:
        yield server


def ask(
    server: Server, room: int, session: str, *said: str, path: str = "/ws/example/chat/{}/"
) -> list[tuple[str, list[Frame]]]:
    """Take turns one after the other on one connection; (turn id, frames) of each."""
    with chat(server, path.format(room), session) as client:
        turns = []
        for text in said:
            turn_id = client.say(text)
            turns.append((turn_id, client.until_ended(turn_id)))
        return turns


def new_events(database: Database, room: int) -> list[Event]:
    """Those after the turn that each room begins with."""
    return [event for event in events_of(database, room) if event.version > 3]


def test_history_comes_before_anything_else(
    server: Server, sessions: dict[str, str], room: int
) -> None:
    with chat(server, f"/ws/example/chat/{room}/", sessions["ada"]) as client:
        client.until(lambda frame: frame.get("type") == "turn")
        human, answer, standing = client.frames[1:]
    assert (human["role"], human["content"]) == ("user", GREETING)
    assert (answer["role"], answer["content"]) == ("assistant", GREETING_ANSWER)
    assert (standing["outcome"], standing["version"]) == ("completed", 3)


def test_an_empty_conversation_is_opened_in_the_persons_name(
    server: Server, database: Database, sessions: dict[str, str], room: int
) -> None:
    # Each person sees their own turns: for bob, ada's room is empty.
    with chat(server, f"/ws/example/chat/{room}/", sessions["bob"]) as client:
        client.until(lambda frame: frame.get("outcome") == "completed")
        said = [frame["content"] for frame in client.frames if frame.get("role") == "user"]
    assert said == ["첫 문장으로 대화를 시작해주세요."]
    started = new_events(database, room)[0]
    assert started.type == "TurnStarted"
    assert started.metadata["initial"] is True


def test_an_answer_arrives_in_pieces(
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, LONG_ANSWER, pace=20)
    [(turn_id, frames)] = ask(server, room, sessions["ada"], said)
    pieces = [f for f in frames if is_answer(f, turn_id) and f["mode"] == "append"]
    assert len(pieces) > 1
    assert "".join(piece["content"] for piece in pieces) == LONG_ANSWER
    assert text_of(frames, turn_id) == LONG_ANSWER


def test_the_log_has_each_turn_in_order(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = [words(), words(), words()]
    for text in said:
        model_server.answer(text, f"An answer to {text}")
    turns = ask(server, room, sessions["ada"], *said)
    events = new_events(database, room)
    assert [event.version for event in events_of(database, room)] == list(range(1, 13))
    assert types_of(events) == ["TurnStarted", "MessageAppended", "MessageAppended"] * 3
    for number, (text, (turn_id, _)) in enumerate(zip(said, turns, strict=True)):
        started, human, answer = events[3 * number : 3 * number + 3]
        assert {started.turn_id, human.turn_id, answer.turn_id} == {turn_id}
        assert (started.text, human.text) == (text, text)
        assert answer.text == f"An answer to {text}"
        assert answer.payload["_type"] == "AIMessage"


def test_the_model_is_given_prompt_history_and_the_new_message(
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    first, second = words(), words()
    model_server.answer(first, "The first answer.")
    model_server.answer(second, "The second answer.")
    ask(server, room, sessions["ada"], first, second)
    [request] = model_server.requests(second)
    messages = [(message["role"], message["content"]) for message in request["body"]["messages"]]
    assert messages[0][0] == "system"
    assert SYSTEM_PROMPT in messages[0][1]
    assert "중국어" in messages[0][1]
    assert messages[1:] == [
        ("user", GREETING),
        ("assistant", GREETING_ANSWER),
        ("user", first),
        ("assistant", "The first answer."),
        ("user", second),
    ]
    assert request["body"]["model"] == "gpt-4o-mini"
    assert request["body"]["stream"] is True
    assert [tool["function"]["name"] for tool in request["body"]["tools"]] == [
        "look_up_price",
        "place_order",
    ]


def test_a_started_turn_is_dated_before_the_models_request(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Yes.")
    ask(server, room, sessions["ada"], said)
    [request] = model_server.requests(said)
    started = new_events(database, room)[0]
    assert started.recorded_at.timestamp() * 1000 <= request["timestamp"] + 1


def test_the_words_are_committed_when_the_model_is_asked(
    server: Server,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, found = words(), []

    def look(request: dict[str, Any]) -> Iterator[bytes]:
        # On a connection of its own: only what is committed is there.
        found.extend(events_of(database, room))
        yield from (delta("I have "), delta("looked."), delta("", "stop"), DONE)

    scripted_model.script = look
    ask(server, room, sessions["ada"], said, path="/ws/scripted/{}/")
    assert (found[-1].type, found[-1].text) == ("TurnStarted", said)
    assert new_events(database, room)[-1].text == "I have looked."


def test_a_tool_that_exits_ends_neither_the_server_nor_the_turn(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    for name in ("leave", "leave_the_loop"):
        said = words()
        model_server.call_tool(said, name, {}, then="Still here.")
        [(turn_id, frames)] = ask(server, room, sessions["ada"], said, path="/ws/leaving/{}/")
        assert frames[-1]["outcome"] == "completed"
        assert text_of(frames, turn_id) == "Still here."
        [tool] = [e for e in events_of(database, room, turn_id) if e.type == "ToolOutputRecorded"]
        assert (tool.payload["status"], tool.payload["output"]) == ("error", "SystemExit: 3")


def test_a_tool_is_called_and_recorded(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.call_tool(said, "look_up_price", {"name": "拿铁"}, then="A latte is 32 yuan.")
    [(turn_id, frames)] = ask(server, room, sessions["ada"], said)

    # One frame or two, by how fast it went: the first makes the card, the second completes it.
    card: Frame = {}
    for frame in frames:
        if frame.get("role") == "tool":
            assert frame["mode"] == ("append" if card else "overwrite")
            card |= frame
    assert (card["id"], card["name"]) == (f"{turn_id}-tool-0", "look_up_price")
    assert (card["status"], card["content"]) == ("ok", "拿铁: 32元")
    assert text_of(frames, turn_id) == "A latte is 32 yuan."

    events = new_events(database, room)
    assert types_of(events) == [
        *("TurnStarted", "MessageAppended", "ModelCallRecorded", "ToolOutputRecorded"),
        *("ModelCallRecorded", "MessageAppended"),
    ]
    tool = events[3].payload
    assert (tool["tool"], tool["status"], tool["output"]) == ("look_up_price", "ok", "拿铁: 32元")
    assert tool["input"] == {"name": "拿铁"}

    asked, told = model_server.requests(said)
    call, result = told["body"]["messages"][-2:]
    assert told["body"]["messages"][:-2] == asked["body"]["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"] == tool["tool_call_id"]
    assert (result["role"], result["content"]) == ("tool", "拿铁: 32元")


def test_usage_is_recorded_with_the_answer(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Counted.")
    ask(server, room, sessions["ada"], said)
    usage = new_events(database, room)[-1].payload["_value"]["usage_metadata"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_message_sent_twice_is_one_turn(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, other = words(), words()
    model_server.answer(said, "Once is enough.")
    model_server.answer(other, "And now something else.")
    with chat(server, f"/ws/example/chat/{room}/", sessions["ada"]) as client:
        turn_id = client.say(said)
        client.say(said, turn_id)
        client.until_ended(turn_id)
        client.say(said, turn_id)
        other_id = client.say(other)
        client.until_ended(other_id)
    events = new_events(database, room)
    assert types_of(events) == ["TurnStarted", "MessageAppended", "MessageAppended"] * 2
    assert [event.turn_id for event in events] == [turn_id] * 3 + [other_id] * 3
    assert len(model_server.requests(said)) == 1


def test_a_second_message_in_mid_answer_is_refused_with_a_notice(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, too_early = words(), words()
    model_server.answer(said, LONG_ANSWER, pace=40)
    with chat(server, f"/ws/example/chat/{room}/", sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "One")
        refused = client.say(too_early)
        notice = client.until(is_notice)[-1]
        client.until_ended(turn_id)
    assert notice["refused_turn_id"] == refused
    assert notice["content"] == "Another answer is still being written: wait for it."
    assert {event.turn_id for event in new_events(database, room)} == {turn_id}


def test_stopping_records_what_was_said_until_then(
    server: Server,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    scripted_model.script = endless("This goes on and on. ")
    with chat(server, f"/ws/scripted/{room}/", sessions["ada"]) as client:
        turn_id = client.say(words())
        client.until_text(turn_id, "on and on")
        client.send(type="stop", turn_id=turn_id)
        frames = client.until_ended(turn_id)
    assert frames[-1]["outcome"] == "cancelled"
    answer = new_events(database, room)[-1]
    assert (answer.type, answer.metadata["outcome"]) == ("MessageAppended", "cancelled")
    assert answer.text.startswith("This goes on and on.")
    assert answer.text == text_of(client.frames, turn_id)


def test_who_comes_back_is_sent_only_what_was_missed(
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    missed = words()
    model_server.answer(missed, "You missed this.")
    path = f"/ws/example/chat/{room}/"
    [(turn_id, _)] = ask(server, room, sessions["ada"], missed)
    with chat(server, path, sessions["ada"], after=3) as client:
        client.until_ended(turn_id)
        client.until_quiet()
    roles = [frame["role"] for frame in client.frames if "role" in frame]
    assert roles == ["user", "assistant"]
    assert {"type": "reset"} not in client.frames
    with chat(server, path, sessions["ada"], after=6) as client:
        client.until_quiet()
        assert [frame["type"] for frame in client.frames] == ["hello", "pong"]


def test_who_leaves_in_mid_request_is_no_error_in_the_servers_log(
    server: Server, sessions: dict[str, str], room: int
) -> None:
    before = len(server.log)
    path = f"/ws/example/chat/{room}/"
    for _ in range(5):
        with chat(server, path, sessions["ada"]) as client:
            for _ in range(30):
                client.send(type="ping")
            client.vanish()
    with chat(server, path, sessions["ada"]) as client:
        client.until_quiet()
    assert "could not be" not in server.log[before:]
