"""What becomes readable on the way to a page or a file is masked there: Markdown, arrays, notes."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from django.test import Client
from langchain_core.messages import AIMessage

from tests.consumers.test_review_masked import client_of
from tests.core.test_masking import steps_of
from turnlog.consumers import markdown
from turnlog.consumers.review.remarks import MASKED_APART
from turnlog.core import codec
from turnlog.core.masking.documents import WITHHELD, masked
from turnlog.core.masking.masker import Masker
from turnlog.events import reviews
from turnlog.events.models import Conversation
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.project.review_urls"),
    pytest.mark.slow_once,
]

MAIL, PHONE = "ada@example.com", "010-1234-5678"
SPELLED = {
    "entity in an address": "ada&#64;example.com",
    "named entity": "ada&commat;example.com",
    "escapes": r"010\-1234\-5678",
    "entity of a digit": "&#48;10-1234-5678",
    "strong": "010-**1234**-5678",
    "code": "010-`1234`-5678",
    "link text": "010-[1234](https://example.org/)-5678",
    "target": "[here](https://example.org/?of=010-&#49;234-5678)",
    "percents": "[here](https://example.org/?of=010%2D1234%2D5678)",
    "mail to": "[here](mailto:ada&#64;example.com)",
    "address": "<https://example.org/010%2D1234%2D5678>",
    "picture": r"![010\-1234\-5678](https://example.org/a.png)",
    "spaces": "010-1234       5678",
    "hard break": "a\\\n010\\-1234\\-5678",
    "heading": "# 010-*1234*-5678",
    "item": "1. a\n2. 010-*1234*-5678\n   > b",
    "table": "| a | b |\n|---|---|\n| 010-*1234*-5678 | c |",
    "language": "```010\\-1234\\-5678\nx\n```",
}


def shown_in(content: bytes) -> str:
    """What a page says, with what its tags say: no entities, percents, tags or spaces."""
    page = content.decode().replace("%2D", "-")
    return re.sub(r"<[^<>]*>|[\s-]", "", page) + re.sub(r"[\s-]", "", page)


@pytest.fixture
def reviewer(django_user_model: Any) -> Client:
    return client_of(django_user_model, "reviewer", "review_conversation")


@pytest.fixture
def owner(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("spelling", SPELLED)
def test_markdown_that_spells_a_value_is_masked_as_it_is_shown(
    spelling: str, user: Any, reviewer: Client, owner: Client
) -> None:
    room = Conversation.objects.create(user=user)
    answer = f"**First.**\n\n{SPELLED[spelling]}\n\n*Last.*"
    room.record_turn("q", AIMessage(answer), user=user)
    for path in ("", "compare/?a=1"):
        said = shown_in(reviewer.get(f"/review/{room.pk}/{path}").content)
        assert "01012345678" not in said
        assert MAIL not in said
    page = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert "<strong>First.</strong>" in page
    assert "<em>Last.</em>" in page
    said = shown_in(owner.get(f"/review/{room.pk}/").content)
    assert "01012345678" in said or MAIL in said


def test_what_says_nothing_is_shown_as_it_was_rendered() -> None:
    source = (
        f"# A & B\n\nIt is {Masker(1).text(PHONE)}: **1** <b>\n\n```py\nx  =  1\n```\n\n"
        "| 2020 | 2021 |\n|---|---|\n| 4111 | 1111 |\n\n- [x] [a](https://example.org/?q=%20b)\n"
    )
    blocks = [block.html for block in markdown.blocks(source)]
    assert markdown.masked_as_shown(blocks, Masker(1)) == blocks


def test_lines_stay_lines_and_nothing_becomes_a_tag() -> None:
    mask = Masker(1)
    [block] = markdown.blocks("- &lt;b&gt; one\n- 010-**1234**-5678\n")
    [shown] = markdown.masked_as_shown([block.html], mask)
    label = mask.text(PHONE)
    assert shown == f'<p dir="auto">&lt;b&gt; one<br>{label}</p>\n'


@pytest.mark.parametrize(
    "unit", ["<b>", "&lt;", "*a* ", "`", "a  ", "[a](b) ", "0 ", "010-**1234**-5678\n\n", "```\n"]
)
def test_a_hostile_answer_takes_steps_in_proportion_to_its_length(unit: str) -> None:
    def work(times: int) -> int:
        blocks = [block.html for block in markdown.blocks(unit * times)]
        markdown.masked_as_shown(blocks, Masker(1))  # What is compiled once is compiled.
        return steps_of(lambda: markdown.masked_as_shown(blocks, Masker(1)))

    assert work(400) < 4.5 * work(100) + 2_000


def fails(text: str) -> Any:
    if "**" not in text:
        raise ValueError("no")
    return []


def test_if_the_projects_function_fails_nothing_of_it_is_shown(
    user: Any, reviewer: Client, settings: Any
) -> None:
    settings.TURNLOG = {"FIND_PERSONAL_DATA": f"{__name__}.fails"}
    room = Conversation.objects.create(user=user)
    room.record_turn("q", AIMessage("some **words**\n\nand more"), user=user)
    page = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert "words" not in page.partition("turnlog-prose")[2].partition("</div>")[0]
    assert "and more" not in page


# Arrays

TEXT = b"010-1234-5678 Ada xyz..."
READ = {
    "u1": np.frombuffer(TEXT, "u1"),
    "i1": np.frombuffer(TEXT, "i1"),
    "S1": np.frombuffer(TEXT, "S1"),
    "S4": np.frombuffer(TEXT, "S4"),
    "i2": np.frombuffer(TEXT, "i2"),
    "i4": np.frombuffer(TEXT, "i4"),
    "f4": np.frombuffer(TEXT, "f4"),
    "f8": np.frombuffer(TEXT, "f8"),
    "U1": np.array(list(TEXT.decode())),
    "u2": np.array(list(TEXT), "u2"),
    "u4": np.array(list(TEXT), ">u4"),
}


@pytest.mark.parametrize("kind", READ)
def test_an_array_that_is_a_text_is_withheld(kind: str, user: Any, reviewer: Client) -> None:
    room = Conversation.objects.create(user=user)
    document = codec.encode(READ[kind])
    assert masked(document, Masker(1)) == WITHHELD
    room.record_turn("q", AIMessage("ok"), [{"tool": "t", "output": READ[kind]}], user=user)
    data = document["_value"]["data"]
    for event in range(1, 6):
        page = reviewer.get(f"/review/{room.pk}/events/{event}/?whole").content.decode()
        assert data not in page
        assert base64.b64encode(TEXT).decode()[:12] not in page


def test_small_numbers_and_what_says_nothing_stay() -> None:
    for array in (
        np.array([True, False]),
        np.array([0, 3, -1, 31], "i1"),
        np.arange(300, dtype="i2"),
        np.linspace(0, 1, 40),
        np.arange(10) * 1.5 + 3j,
        np.array(["a", "b", "Ada"]),
        np.arange(4).astype("M8[D]"),
    ):
        document = codec.encode(array)
        assert masked(document, Masker(1)) == document


# Notes


def exported(client: Client, what: str) -> list[dict[str, Any]]:
    response = client.post("/review/export/", {"what": what, "form": "json", "reason": "r"})
    assert response.status_code == 200
    return list(json.loads(b"".join(response.streaming_content)))  # type: ignore[attr-defined]


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user)
    room.record_turn(f"call {PHONE}", AIMessage("ok"), user=user)
    return room


def test_no_note_tells_which_number_a_placeholder_stands_for(
    room: Conversation, reviewer: Client, django_user_model: Any
) -> None:
    permissions = ("review_conversation", "export_log")
    clients = {name: client_of(django_user_model, name, *permissions) for name in ("ann", "bob")}
    ann = django_user_model.objects.get(username="ann")
    reviews.add_note(room.pk, f"a guess: {PHONE}", by=ann, quote=PHONE)
    Worker(named(["overview", "search", "usage"])).catch_up()
    label = Masker(room.pk).text(PHONE)
    for client in clients.values():
        assert f"call {label}" in [row["text"] for row in exported(client, "messages")]
    [own] = exported(clients["ann"], "remarks")
    assert (own["text"], own["quote"]) == (f"a guess: {PHONE}", PHONE)
    [other] = exported(clients["bob"], "remarks")
    apart = Masker(room.pk, MASKED_APART).text(PHONE)
    assert apart != label
    assert (other["text"], other["quote"]) == (f"a guess: {apart}", apart)
    # And on the page.
    page = clients["bob"].get(f"/review/{room.pk}/").content.decode()
    assert f"a guess: {apart}" in page
    assert f"a guess: {PHONE}" in clients["ann"].get(f"/review/{room.pk}/").content.decode()


def test_an_exporters_own_messages_are_not_masked_for_them(
    room: Conversation, django_user_model: Any
) -> None:
    client = client_of(django_user_model, "ann", "review_conversation", "export_log")
    ann = django_user_model.objects.get(username="ann")
    room.record_turn(f"I am {MAIL}", AIMessage("ok"), user=ann)
    Worker(named(["overview", "search", "usage"])).catch_up()
    said = [row["text"] for row in exported(client, "messages")]
    assert f"I am {MAIL}" in said
    assert not any(PHONE in text for text in said)
