"""What the samples of each event type hold: every field, and values that are easily broken."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from tests.events.samples.stored import ADA, TURN, offer
from turnlog.core import codec
from turnlog.events.log import NewEvent
from turnlog.events.types import (
    AccessesInspected,
    AccessRecorded,
    BranchChosen,
    ConversationCleared,
    ConversationForked,
    ConversationOpened,
    HistorySummarized,
    HoldLifted,
    HoldPlaced,
    ItemJudged,
    ItemMoved,
    ItemsAdded,
    LogVerified,
    MessageAppended,
    ModelCallFailed,
    ModelCallRecorded,
    NoteAdded,
    NoteWithdrawn,
    OwnerChanged,
    PayloadErased,
    QueueDescribed,
    QueueFilled,
    QueueSet,
    ReviewSignedOff,
    ScoreGiven,
    SideStreamOpened,
    TitleChanged,
    ToolApprovalDecided,
    ToolApprovalRequested,
    ToolOutputRecorded,
    TurnFailed,
    TurnResumed,
    TurnStarted,
    ViewChosen,
    ViewRemoved,
    ViewSaved,
)

BROKEN_TEXT = "따뜻한 라떼 \U0001f375 \x00 \ud800 \\u0000 \u2028 e\u0301"
"""Korean, an emoji, NUL, a lone surrogate, an escape that is none, and marks that combine."""

human = codec.encode(HumanMessage(BROKEN_TEXT, name="ada", id="human-1"))
calling = codec.encode(
    AIMessage(
        "재고를 볼게요.",
        id="run-1",
        tool_calls=[{"name": "stock", "args": {"of": ["우유", 1e16]}, "id": "call-1"}],
        invalid_tool_calls=[
            {
                "name": "price",
                "args": "{",
                "id": "call-2",
                "error": None,
                "type": "invalid_tool_call",
            }
        ],
        usage_metadata={"input_tokens": 40, "output_tokens": 2, "total_tokens": 42},
        response_metadata={"model_name": "gpt-4o", "finish_reason": "tool_calls"},
    )
)
thinking = codec.encode(
    AIMessage(
        [
            {"type": "thinking", "thinking": "재고…", "signature": "c2ln", "index": 0},
            {"type": "text", "text": "재고를 볼게요.", "index": 1},
            {"type": "tool_use", "id": "toolu_1", "name": "stock", "input": {}, "index": 2},
        ],
        tool_calls=[{"name": "stock", "args": {}, "id": "toolu_1"}],
        response_metadata={"model_provider": "anthropic", "stop_reason": "tool_use"},
    )
)
blocks = codec.encode(
    HumanMessage(
        [
            {"type": "text", "text": "이건 뭐예요?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ]
    )
)
table = codec.encode(
    pd.DataFrame(
        {
            "메뉴": pd.Categorical(["라떼", "차"]),
            "원": pd.array([4500, None], dtype="Int64"),
            "share": [0.5, float("nan")],
            "since": pd.to_datetime(["2026-11-22", None], utc=True),
        },
        index=pd.Index(["a", "b"], name="key"),
    )
)
values = codec.encode(
    {
        "exact": Decimal("4.50"),
        "when": dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC),
        "pair": (-0.0, b"\x00\xff"),
        "_type": "no tag",
    }
)

of_table = ToolOutputRecorded(
    tool="stock",
    tool_call_id="call-1",
    input=codec.encode({"of": "우유"}),
    output=table,
    status="ok",
    duration=0.25,
    text=codec.encode("메뉴 | 원\n라떼 | 4500"),
)
of_error = ToolOutputRecorded("price", None, None, values, status="error")

previous_by_rule = {"tools": True, "since": 2, "until": 9}
previous_summarised = {"tools": False, "since": 10, "until": 14, "summary": 9}
previous_listed = {"messages": [codec.encode(SystemMessage("요약: 라떼를 주문했다.")), 4, 6]}


def started(previous: Any, **fields: Any) -> TurnStarted:
    return TurnStarted(
        human,
        model="gpt-4o",
        parameters={"temperature": 0.5, "max_tokens": 4096},
        system_prompt="a3" * 32,
        tools="b4" * 32,
        previous=previous,
    )


FACTS: dict[str, list[NewEvent]] = {
    "ConversationOpened": [
        offer(ConversationOpened(str(ADA), "커피 주문하기 \x00 \ud800")),
        NewEvent(ConversationOpened(None, "")),
    ],
    "TitleChanged": [offer(TitleChanged("차 주문하기 \x00 \ud800")), NewEvent(TitleChanged(""))],
    "OwnerChanged": [
        offer(OwnerChanged(str(ADA), None)),
        NewEvent(OwnerChanged(None, str(ADA))),
    ],
    "TurnStarted": [
        offer(started(previous_by_rule), TURN, runner="5d0e8f1c-33ad-4e1b-9f0a-0c6d2b7a9e55"),
        offer(started(previous_listed), TURN, initial=True),
        offer(started(previous_summarised), TURN),
        NewEvent(TurnStarted(blocks), TURN),
    ],
    "ModelCallRecorded": [
        offer(ModelCallRecorded(calling), TURN),
        offer(ModelCallRecorded(thinking), TURN, tools_at=[0]),
    ],
    "ModelCallFailed": [
        offer(
            ModelCallFailed(
                "gpt-4o",
                {"type": "RateLimitError", "kind": "busy", "text": "Error code: 429 \ud800"},
                0.25,
                thinking,
            ),
            TURN,
            call_seconds=[1.5],
        ),
        NewEvent(ModelCallFailed("gpt-4o", {"type": "TimeoutError", "text": ""}), TURN),
    ],
    "MessageAppended": [
        offer(MessageAppended(human), TURN),
        offer(MessageAppended(calling), TURN, tools_at=[8]),
        offer(MessageAppended(blocks), TURN, origin={"stream": 3, "version": 2}),
        offer(MessageAppended(codec.encode(SystemMessage("Speak Korean only."))), TURN),
    ],
    "ToolOutputRecorded": [offer(of_table, TURN), offer(of_error, TURN)],
    "TurnFailed": [
        offer(
            TurnFailed(
                "failed",
                {"message": calling, "tools": [of_table.payload(), of_error.payload()]},
                {"type": "RateLimitError", "kind": "busy", "text": "Error code: 429 \ud800"},
            ),
            TURN,
        ),
        offer(TurnFailed("cancelled", {"message": None, "tools": []}), TURN),
        offer(TurnFailed("interrupted", {"message": None, "tools": []}), TURN),
        offer(TurnFailed("unrecorded", {"message": blocks, "tools": []}), TURN),
    ],
    "ToolApprovalRequested": [
        offer(
            ToolApprovalRequested(
                [
                    {
                        "number": 1,
                        "tool": "refund",
                        "tool_call_id": "call-2",
                        "input": codec.encode({"주문": 17, "text": BROKEN_TEXT}),
                    },
                    {"number": 2, "tool": "close", "tool_call_id": None, "input": None},
                ],
                {"message": calling, "tools": [of_table.payload()], "rounds": [calling]},
            ),
            TURN,
            tools_at=[8, 8, 8],
        ),
    ],
    "ToolApprovalDecided": [
        offer(ToolApprovalDecided(str(TURN), "d6" * 32, 1, False, BROKEN_TEXT)),
        offer(ToolApprovalDecided(str(TURN), "d6" * 32, 2, True)),
    ],
    "TurnResumed": [
        offer(
            TurnResumed("d6" * 32, "gpt-4o", {"temperature": 0.5}),
            TURN,
            runner="5d0e8f1c-33ad-4e1b-9f0a-0c6d2b7a9e55",
        ),
        offer(TurnResumed("d6" * 32), TURN),
    ],
    "HistorySummarized": [
        offer(HistorySummarized(human, 3, 12, "e7" * 32, "gpt-4o-mini")),
        offer(HistorySummarized(blocks, 3, 24, "f8" * 32)),
    ],
    "ConversationCleared": [
        offer(ConversationCleared("다음 손님 \x00")),
        NewEvent(ConversationCleared()),
    ],
    "BranchChosen": [
        offer(
            BranchChosen(
                str(TURN), "7c0e1f52-3a4b-4c5d-8e9f-0a1b2c3d4e5f", 5, [[2, 4]], [[2, 9], [5, 17]]
            )
        ),
        NewEvent(BranchChosen(str(TURN), None, 2, [], [])),
    ],
    "ConversationForked": [offer(ConversationForked(3, 12, "c5" * 32))],
    "PayloadErased": [offer(PayloadErased([2, 3, 4], "request 17, 개인정보 삭제"))],
    "HoldPlaced": [offer(HoldPlaced("case 2026-31, 소송"))],
    "HoldLifted": [offer(HoldLifted("case 2026-31 is closed"))],
    "SideStreamOpened": [offer(SideStreamOpened("accesses/2026-11"))],
    "AccessRecorded": [
        offer(AccessRecorded("listed", "conversations", [3, 7], [str(ADA)], "192.0.2.7", "우유")),
        offer(AccessRecorded("exported", "bundle", [7], [], "2001:db8::7", reason="request 17")),
    ],
    "AccessesInspected": [offer(AccessesInspected(12, "이상 없음 \x00"))],
    "NoteAdded": [
        offer(NoteAdded(BROKEN_TEXT, str(TURN), "재고를 볼게요.")),
        offer(NoteAdded("All of it is about milk.")),
    ],
    "NoteWithdrawn": [offer(NoteWithdrawn(2))],
    "ScoreGiven": [
        offer(ScoreGiven("quality", 4.5, str(TURN), BROKEN_TEXT)),
        offer(ScoreGiven("tone", "calm")),
        offer(ScoreGiven("helpful", None)),
    ],
    "ViewSaved": [offer(ViewSaved("환불", "state:failed 환불"))],
    "ViewRemoved": [offer(ViewRemoved("환불"))],
    "ViewChosen": [offer(ViewChosen("환불")), offer(ViewChosen(""))],
    "LogVerified": [offer(LogVerified(1_000_000, 0)), offer(LogVerified(1200, 2, since=1000))],
    "QueueSet": [
        offer(QueueSet("active", 2, ["quality", "tone"])),
        offer(QueueSet("paused", 1, [])),
    ],
    "QueueDescribed": [offer(QueueDescribed("환불", BROKEN_TEXT)), offer(QueueDescribed("Cups"))],
    "QueueFilled": [
        offer(QueueFilled("state:failed 환불", 12.5, "겨울", 80)),
        offer(QueueFilled("", 100, "a3b4c5d6", 0)),
    ],
    "ItemsAdded": [offer(ItemsAdded([3, 7, 12]))],
    "ItemMoved": [
        offer(ItemMoved(7, "taken", "open", 900)),
        offer(ItemMoved(7, "completed", "awaiting")),
    ],
    "ItemJudged": [
        offer(ItemJudged(7, {"quality": 4.5, "tone": "calm", "helpful": None})),
        offer(ItemJudged(7, reason=BROKEN_TEXT)),
    ],
    "ReviewSignedOff": [offer(ReviewSignedOff(12, "17번 요청"))],
}
