"""Whatever a model thinks, says and calls, the log shows what was shown while it did."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, HumanMessage

from tests.consumers.test_bytes import running_turn
from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers.answering import agent
from turnlog.consumers.answering.running_turn import RunningTurn
from turnlog.consumers.endings import NoAnswer
from turnlog.consumers.mixins.limits import Limits
from turnlog.consumers.mixins.tools import as_tools
from turnlog.consumers.page.turn_view import merged, view_of
from turnlog.core import codec
from turnlog.events.rounds import recorded
from turnlog.events.tool_outputs import tool_outputs
from turnlog.projections.transcript import TranscriptTurn

pytestmark = pytest.mark.slow_once

WORDS = st.sampled_from(
    ["so", " ", "\n\n", "- a\n- b", "**bo", "ld**", "`", "```\n", "\ud83d", "<b>"]
)
THOUGHT = WORDS.map(lambda text: {"type": "thinking", "thinking": text})
SAID = WORDS.map(lambda text: {"type": "text", "text": text})
BLOCKS = st.lists(THOUGHT | SAID, min_size=1, max_size=6)
CALLS = st.integers(0, 3)
REASONS = st.sampled_from(["end_turn", "", "max_tokens"])


def double(number: int) -> int:
    """Twice a number; fails at 2."""
    if number == 2:
        raise ValueError("no 2")
    return 2 * number


def chunks_of(blocks: list[dict[str, Any]], calls: int, reason: str) -> list[AIMessageChunk]:
    """A reply in blocks, each a chunk."""
    made = [AIMessageChunk([{**block, "index": at}]) for at, block in enumerate(blocks)]
    named: Any = [{"name": "double", "args": {"number": n}, "id": f"c{n}"} for n in range(calls)]
    metadata = {"stop_reason": "tool_use" if calls else reason, "model_name": "m"}
    end = AIMessageChunk([], tool_calls=named, response_metadata=metadata, chunk_position="last")
    return [*made, end]


@given(
    rounds=st.lists(st.tuples(BLOCKS, CALLS, REASONS), min_size=1, max_size=4),
    flush=st.lists(st.booleans(), min_size=5, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_the_log_shows_what_was_shown(rounds: Any, flush: list[bool]) -> None:
    turn = running_turn()
    asyncio.run(take(turn, [chunks_of(*one) for one in rounds], flush))
    answer = turn.answer
    message = answer.partial_message()
    stored = TranscriptTurn(
        uuid.uuid4(),
        *(1, 2, turn.view().at, "failed"),
        tools=[each.payload() for each in tool_outputs(answer.tools_output_list)],
        rounds=[recorded(one).payload() for one in answer.rounds],
        answer=None if message is None else codec.encode(message),
        metadata=answer.metadata,
    )
    live = merged(turn.view().pieces)
    assert merged(view_of(stored, show_initial_prompt=True).pieces) == live


async def take(turn: RunningTurn, replies: Any, flush: list[bool]) -> None:
    """Let a scripted model answer, and show it now and then."""
    model = ScriptedModel(replies=[*replies, ["end"]], seen=[])
    steps = agent.run(
        turn.answer,
        model,
        [HumanMessage("x")],
        as_tools([double]),
        limits=Limits(concurrency=1),
    )
    number = 0
    # A turn that ends without an answer still shows what it gave.
    with contextlib.suppress(NoAnswer):
        async for step in steps:
            turn.follow(step)
            number += 1
            if flush[number % len(flush)]:
                turn.flush()
    turn.finish_text()
