"""Whole streams among the samples: a conversation's life, and one in older schemas."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from langchain_core.messages import AIMessage

from tests.events.samples import facts
from tests.events.samples.older import Judged1, Rated, Rated1, Rated2, Scored1
from tests.events.samples.stored import TURN, offer, stream_of
from turnlog.core import codec
from turnlog.events.log import NewEvent
from turnlog.events.models import Event
from turnlog.events.types import MessageAppended, PayloadErased, TurnFailed

_SECOND, _THIRD = (uuid.UUID(int=TURN.int + n) for n in (1, 2))


def life() -> list[Event]:
    """Opened, a turn that is erased later, a clearing, a turn that failed, and one with a tool."""
    answer = codec.encode(AIMessage("따뜻하게 드릴까요?"))
    return stream_of(
        [
            facts.FACTS["ConversationOpened"][0],
            offer(replace(facts.started(None), model=None), TURN),  # 2
            offer(MessageAppended(facts.human), TURN),
            offer(facts.of_table, TURN),
            offer(MessageAppended(facts.calling), TURN),  # 5
            facts.FACTS["ConversationCleared"][0],
            offer(facts.started({"tools": False, "since": 0, "until": 0}), _SECOND),
            offer(TurnFailed("cancelled", {"message": None, "tools": []}), _SECOND),
            *(
                NewEvent(data, _THIRD)
                for data in (
                    MessageAppended(facts.human),
                    facts.of_error,
                    MessageAppended(answer),
                )
            ),
            offer(PayloadErased([2, 3, 4, 5], "request 17")),
        ],
        erased=(2, 3, 4, 5),
    )


def older() -> list[Event]:
    """Events of the made-up past in `older.py`, one of them erased."""
    return stream_of(
        [
            facts.FACTS["ConversationOpened"][0],
            offer(Rated1({"stars": 4})),
            offer(Rated2({"points": 7})),
            offer(Rated(9, "guest")),
            offer(Scored1({"stars": 5})),
            offer(Judged1({"stars": 3, "words": ""})),
            offer(Judged1({"stars": 0, "words": facts.BROKEN_TEXT})),
            offer(Judged1({"stars": 0, "words": "forget this"})),
            offer(PayloadErased([8], "request 18")),
        ],
        erased=(8,),
    )


STREAMS: dict[str, Callable[[], list[Event]]] = {"life": life, "older": older}
