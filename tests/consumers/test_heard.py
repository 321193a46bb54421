"""Whoever reaches the channel layer may send anything: no page breaks, or shows what is unsafe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.consumers.test_relay import SOUND, TURN
from turnlog.consumers.answering import relay
from turnlog.consumers.page.frames import HtmlEncoder, JsonEncoder
from turnlog.consumers.page.progress import Progress
from turnlog.consumers.page.turn_view import TurnView
from turnlog.consumers.socket.follower import _Elsewhere

pytestmark = pytest.mark.slow_once

EVIL = "<p onclick='x()'>a<script>x()</script></p>"

texts = st.sampled_from(["", "a", EVIL, "<p>", "</div>", "\ud83d", "x" * 3_000, "\x00", "| a |\n"])
anything = st.one_of(st.none(), st.integers(), st.floats(), texts, st.lists(texts, max_size=2))
ids = st.one_of(st.sampled_from(["0", "1", "2", "", '"><script>']), anything)
pieces = st.one_of(
    st.fixed_dictionaries({"kind": st.just("block"), "html": st.one_of(texts, anything)}),
    st.fixed_dictionaries(
        {"kind": st.just("tool"), "id": ids, "name": texts, "input": st.one_of(texts, anything)}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("tool_result"),
            "id": ids,
            "status": texts,
            "output": texts,
            "seconds": st.one_of(st.none(), st.floats(), st.integers()),
        }
    ),
    st.dictionaries(texts, anything, max_size=2),
    anything,
)
messages = st.fixed_dictionaries(
    {
        "pieces": st.one_of(st.lists(pieces, max_size=6), anything),
        "tail": texts,
        "tail_source": texts,
        "text": texts,
    }
)


def opened() -> TurnView:
    return TurnView(str(TURN), 2, "open", "hello", True, None)


@settings(max_examples=400, deadline=None)
@example([{**SOUND, "pieces": SOUND["pieces"][::-1]}])
@example([{**SOUND, "pieces": [*SOUND["pieces"][2:], *SOUND["pieces"][1:2]]}])
@example([SOUND, {**SOUND, "pieces": []}, SOUND])
@given(st.lists(messages, min_size=1, max_size=4))
def test_any_messages_in_any_order_leave_a_page_that_works(told: list[dict[str, Any]]) -> None:
    for encoder in (HtmlEncoder(), JsonEncoder()):
        turn, sent = _Elsewhere(opened()), Progress()
        frames = []
        for message in told:
            if (heard := relay.heard_of(message)) is not None:
                turn.hear(heard)
            frames += encoder.progress(turn.view(), sent)
        frames += encoder.ended(opened(), 3, sent)
        frames += encoder.turn(turn.view(), 3)
        for frame in frames:
            frame.encode()
        if isinstance(encoder, HtmlEncoder):
            assert "<script" not in "".join(frames)
            assert "onclick='" not in "".join(frames)


def test_a_message_that_is_too_large_is_not_looked_at() -> None:
    assert relay.heard_of(SOUND) is not None
    huge = "x" * (relay._MOST + 1)
    assert relay.heard_of({**SOUND, "text": huge}) is None
    assert relay.heard_of({**SOUND, "pieces": [{"kind": "block", "html": huge}]}) is None
    assert (
        relay.heard_of({**SOUND, "pieces": [{"kind": "block", "html": ""}] * relay._MOST}) is None
    )
