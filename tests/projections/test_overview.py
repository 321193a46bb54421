"""The overview of conversations, and the queries that find them."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from PIL import Image

from turnlog.events.models import Conversation
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Overview
from turnlog.projections.overview.finding import page_of
from turnlog.projections.overview.query import Condition, QueryError, parse

pytestmark = pytest.mark.django_db

RED = Image.new("RGB", (2, 2), "red")


def catch_up() -> None:
    Worker(named(["overview", "search", "usage"])).catch_up()


def answer(text: str, tokens: int = 0, model: str = "gpt-4o") -> AIMessage:
    usage: Any = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
    return AIMessage(text, usage_metadata=usage, response_metadata={"model_name": model})


@pytest.fixture
def rooms(user: Any, django_user_model: Any) -> dict[str, Conversation]:
    """Each with something of its own to find."""
    bob = django_user_model.objects.create_user("bob")
    names = ("plain", "tools", "stopped", "failed", "cleared", "held", "erased")
    made = {name: Conversation.objects.create(user=user, title=name) for name in names}
    made["bobs"] = Conversation.objects.create(user=bob)
    for room in made.values():
        room.record_turn("a latte, please", answer("one latte", 10), user=room.user)
    outputs = [{"tool": "Draw It", "output": RED}, {"tool": "clock", "output": "12"}]
    made["tools"].record_turn("draw", answer("there", 500, "Claude"), outputs, user=user)
    turn = made["stopped"].start_turn("a tea", user=user)
    stopped = {"metadata": {"outcome": "cancelled"}}
    made["stopped"].record_turn("a tea", answer("Usu"), user=user, turn_id=turn.turn_id, **stopped)
    turn = made["failed"].start_turn("쓴 커피", user=user)
    made["failed"].fail_turn(turn.turn_id, "failed")
    made["cleared"].clear(by=user)
    made["held"].hold(reason="case 1")
    said = made["erased"].record_turn("my secret", answer("oh"), user=user)
    made["erased"].erase([said[0].turn_id], reason="request 1")
    catch_up()
    return made


def found(query: str) -> set[str]:
    return {row.conversation.title or "bobs" for row in page_of(query).rows}


EVERYONE = {"plain", "tools", "stopped", "failed", "cleared", "held", "erased", "bobs"}
QUERIES = {
    "": EVERYONE,
    "latte": EVERYONE,
    '"one latte" -draw': EVERYONE - {"tools"},
    "secret": set(),
    "커": {"failed"},
    "-커 -커피": EVERYONE - {"failed"},
    "user:bob": {"bobs"},
    "user:bob,ada": EVERYONE,
    "user:nobody": set(),
    "model:claude": {"tools"},
    "-model:gpt-4o": set(),
    'tool:"draw it"': {"tools"},
    "tool:clock": {"tools"},
    "tool:cloc": set(),
    "type:ConversationCleared": {"cleared"},
    "state:failed": {"failed"},
    "state:failed,stopped": {"failed", "stopped"},
    "state:failed|held": {"failed", "held"},
    "state:cleared": {"cleared"},
    "state:erased": {"erased"},
    "-state:held has:tool": {"tools"},
    "has:image": {"tools"},
    "tokens:>10": {"tools"},
    "tokens:10..509": EVERYONE - {"tools"},
    "tokens:<10": set(),
    "created:2001-01-01..2001-12-31": set(),
    "created:2001-01-01..": EVERYONE,
    "created:..2001-01-01": set(),
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_what_it_means(query: str, rooms: Any, user: Any) -> None:
    names = {"ada": user.get_username()}
    for name, username in names.items():
        query = query.replace(name, username)
    key = query.replace(user.get_username(), "ada")
    assert found(query) == QUERIES[key]


def test_a_conversation_is_found_by_its_number_and_its_turns(rooms: Any) -> None:
    room = rooms["plain"]
    [turn_id] = set(room.messages.values_list("turn_id", flat=True))
    assert found(f"id:{room.pk}") == found(f"id:{turn_id}") == {"plain"}


def test_days_are_those_of_the_time_zone_and_of_any_activity(rooms: Any) -> None:
    Overview.objects.filter(conversation=rooms["plain"]).update(
        began_at=dt.datetime(2026, 10, 31, 14, 59, tzinfo=dt.UTC),
        last_at=dt.datetime(2026, 11, 10, 15, 1, tzinfo=dt.UTC),
    )
    with timezone.override("Asia/Seoul"):
        assert found("created:2026-10-31") == {"plain"}
        assert found("created:2026-10-30") == set()
        assert found("created:2026-11-05") == found("created:2026-11-11") == {"plain"}
        assert found("created:2026-11-12..2026-11-13") == set()


def test_pages_follow_each_other_without_a_gap(rooms: Any) -> None:
    Overview.objects.filter(conversation__title__in=("held", "plain")).update(
        last_at=dt.datetime(2026, 11, 10, tzinfo=dt.UTC)  # Two at one moment.
    )
    everything = [row.pk for row in page_of("").rows]
    seen: list[int] = []
    after = ""
    while len(seen) < len(everything):
        with CaptureQueriesContext(connection) as queries:
            page = page_of("", after=after, size=3)
        assert len(queries) == 1
        seen += [row.pk for row in page.rows]
        after = page.after
    assert seen == everything
    assert after == ""


@pytest.mark.parametrize("after", ["x", "W10", "WyIyMDI2LTExLTEwIiwgMV0", "\0", "é", "=" * 9])
def test_the_address_of_no_page_is_said(after: str) -> None:
    with pytest.raises(QueryError, match="address of a page"):
        page_of("", after=after)


WRONG = {
    "foo:bar": "Expected one of user, model, tool,.* found foo",
    "https://example.com": "before the colon, found https",
    "user:": "Expected a value after user:",
    'user:""': "Expected a value after user",
    "-user:,": "Expected a value after -user:",
    '""': "Expected a value",
    '"open': "closing quotation mark",
    'a"b"': "closing quotation mark",
    "state:good": "state: expected failed, stopped,.* found good",
    "has:notes": "has: expected tool, image, note, found notes",
    "has:note": "Only reviewers",
    "-reviewed:me": "Only reviewers",
    "reviewed:you": "reviewed: expected none, me, found you",
    "tokens:many": "tokens: expected",
    "tokens:>9999999999999999": "tokens: expected",
    "created:yesterday": "created: expected",
    "created:..": "created: expected",
    "created:2026-02-30": "created: expected",
    "id:seven": "id: expected a conversation's number",
    "x" * 1001: "at most 1000 characters, found 1001",
}


@pytest.mark.parametrize("query", WRONG)
def test_what_is_wrong_is_said(query: str) -> None:
    with pytest.raises(QueryError, match=WRONG[query]):
        page_of(query)


@given(st.text(max_size=60) | st.text(st.sampled_from('ab:-",|. >9"'), max_size=30))
def test_any_text_means_something_or_is_refused(text: str) -> None:
    with suppress(QueryError):
        assert all(condition.values for condition in parse(text))


def test_quotes_keep_signs() -> None:
    assert parse('"state:failed" -"a, b"') == [
        Condition("text", ("state:failed",)),
        Condition("text", ("a, b",), negated=True),
    ]


def test_what_a_model_calls_its_tools_stays_bounded(conversation: Any) -> None:
    outputs = [{"tool": f"tool {n} " + "x" * 400, "output": ""} for n in range(300)]
    said = HumanMessage([{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}])
    conversation.record_turn(said, answer("a", model="\0\n  Odd  Name"), outputs)
    catch_up()
    row = Overview.objects.get()
    assert len(row.tool_names) < 101 * 202
    assert row.answered_by == ["\ufffd odd name"]
    assert (row.images, row.tool_calls, row.turns) == (1, 300, 1)


@pytest.mark.sqlite
def test_a_word_that_no_index_holds_is_looked_for_lately(
    rooms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page_of("커피").lately
    assert not page_of("latte 쓴_커피").lately
    monkeypatch.setattr("turnlog.projections.overview.finding._LATELY", 0)
    assert found("커피") == set()
