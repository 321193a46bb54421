"""What is rendered in a thread of its own comes in the order in which the model produced it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.consumers.test_bytes import running_turn
from turnlog.consumers.answering import running_turn as running_turns
from turnlog.consumers.answering.running_turn import RunningTurn
from turnlog.consumers.answering.showing import Showing
from turnlog.consumers.answering.steps import (
    Step,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
)
from turnlog.consumers.page.room import THOUGHTS, THOUGHTS_APART, Room
from turnlog.consumers.page.turn_view import merged
from turnlog.consumers.thoughts import Part
from turnlog.core.asynchronous import in_rendering_thread

pytestmark = pytest.mark.slow_once

P = '<p dir="auto">'


@contextmanager
def busy() -> Iterator[None]:
    """Keep the rendering thread busy with somebody else's work."""
    go_on = threading.Event()
    work = in_rendering_thread(go_on.wait)(10)
    try:
        yield
    finally:
        go_on.set()
        work.add_done_callback(lambda work: None)


def shown(turn: RunningTurn) -> list[str]:
    pieces = merged(turn.view().pieces)
    return [p["html"] if p["kind"] == "block" else f"tool {p['id']}" for p in pieces]


def steps_of(kinds: list[bool]) -> list[Step]:
    steps: list[Step] = []
    number = 0
    for place, is_tool in enumerate(kinds):
        if is_tool:
            output = {"status": "ok"}
            steps += [ToolStarted(number, "t", {}), ToolFinished(number, output, "12")]
            number += 1
        else:
            steps.append(TextDelta(f"w{place}. "))
    return steps


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_text_and_tools_come_in_their_order_however_busy_the_thread_is(
    plan: list[tuple[bool, bool]],
) -> None:
    """Also while the timer runs out before the thread comes to a step."""

    async def live() -> list[str]:
        turn = running_turn()
        showing = Showing(turn)
        for kind, (_, is_busy) in zip(steps_of([kind for kind, _ in plan]), plan, strict=False):
            if not is_busy:
                await showing.follow(kind)
                continue
            with busy():
                following = asyncio.ensure_future(showing.follow(kind))
                for _ in range(8):
                    await asyncio.sleep(0)
            await following
        for kind in steps_of([kind for kind, _ in plan])[len(plan) :]:
            await showing.follow(kind)
        await showing.finish()
        return shown(turn)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("FLUSH_SECONDS", "LATER_FLUSH_SECONDS"):
            patch.setattr(running_turns, name, 0.0)
        found = asyncio.run(live())
    turn = running_turn()
    for step in steps_of([kind for kind, _ in plan]):
        turn.follow(step)
    turn.finish_text()
    assert found == shown(turn)


async def test_text_that_waits_while_a_tool_begins_is_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others have the thread, and this turn's timer runs out meanwhile."""
    monkeypatch.setattr(running_turns, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(running_turns, "LATER_FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(running_turns.time, "perf_counter", lambda: 0.0)
    turn = running_turn()
    showing = Showing(turn)
    await showing.follow(TextDelta("Let me "))
    while showing._rendering is None:
        await asyncio.sleep(0)
    first = showing._rendering
    with busy():
        await showing.follow(TextDelta("see."))
        following = asyncio.ensure_future(showing.follow(ToolStarted(0, "clock", {})))
        await asyncio.wait([first])
        for _ in range(50):
            await asyncio.sleep(0)
    await following
    await showing.follow(TextDelta("Noon."))
    await showing.finish()
    assert shown(turn) == [f"{P}Let me see.</p>\n", "tool 0", f"{P}Noon.</p>\n"]


async def test_a_turn_that_is_stopped_while_a_tool_begins_shows_all_of_its_text() -> None:
    turn = running_turn()
    showing = Showing(turn)
    with busy():
        await showing.follow(TextDelta("Let me see."))
        following = asyncio.ensure_future(showing.follow(ToolStarted(0, "clock", {})))
        await asyncio.sleep(0)
        following.cancel()
        await asyncio.wait([following])
    await showing.finish()
    assert shown(turn)[0] == f"{P}Let me see.</p>\n"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30_000)), max_size=12))
@settings(max_examples=30, deadline=None)
def test_thoughts_are_bounded_as_a_reload_bounds_them(parts: list[tuple[bool, int]]) -> None:
    turn, room, expected = running_turn(), Room(), []
    for thought, length in parts:
        turn.hear((ThinkingDelta if thought else TextDelta)("x" * length))
    for part in turn.unshown:
        if part.thought and (shown := room.thought(part.text)):
            expected.append(shown)
    # It comes in other portions than it is read from the log.
    for part in turn.take():
        for place in range(0, len(part.text), 7_000):
            turn.show([part._replace(text=part.text[place : place + 7_000])])
    found = [p["text"] for p in merged(turn.view().pieces) if p["kind"] == "thinking"]
    assert found == expected
    assert sum(map(len, found)) <= THOUGHTS + 2


def test_thoughts_are_shown_in_so_many_places() -> None:
    turn = running_turn()
    for _ in range(2 * THOUGHTS_APART):
        turn.show([Part(True, "hm"), Part(False, "x")])
    assert len([p for p in turn.pieces if p["kind"] == "thinking"]) == THOUGHTS_APART
