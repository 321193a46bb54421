"""Tables and pictures that tools gave, as pages show them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from PIL import Image

from turnlog.consumers.page.room import LONGEST, MOST, Room
from turnlog.consumers.page.things import png_in, things_of
from turnlog.consumers.page.turn_view import view_of
from turnlog.core import codec
from turnlog.core.codec.encoded import Encoded
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.slow_once

HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
RED = Image.new("RGB", (2, 2), "red")


def shown(value: Any) -> list[dict[str, Any]]:
    things = things_of(codec.encode(value), Room())
    assert things_of(Encoded(codec.dumps(value)), Room()) == things
    return things


@pytest.mark.parametrize(
    "png", [b"<svg/>", b"", HEADER, HEADER + b"\0\1\0\0\0\1\0\0rest", HEADER + bytes(8)]
)
def test_what_is_no_picture_to_show_is_not_sent(png: bytes) -> None:
    document = {"_type": "PIL.Image", "_value": {"png": base64.b64encode(png).decode()}}
    assert png_in(json.dumps({"output": document})) is None
    assert things_of(document, Room()) == [{"kind": "picture", "src": ""}]


@pytest.mark.parametrize(
    "payload", ["[", "[]", "{}", '{"output": {"_value": []}}', '{"output": []}', None]
)
def test_a_payload_of_another_form_has_no_picture(payload: str | None) -> None:
    assert png_in(payload) is None


def test_a_large_table_is_cut_in_the_page() -> None:
    frame = pd.DataFrame({str(column): range(1000) for column in range(40)})
    (table,) = shown(frame)
    assert (len(table["rows"]), len(table["columns"]), table["cut"]) == (100, 30, True)
    assert (table["height"], table["width"]) == (1000, 40)


@pytest.mark.parametrize(
    "text", ['{"_type":"pandas.DataFrame",' + " " * 1_000_000, '{"_type":"pandas.DataFrame"']
)
def test_a_table_that_cannot_be_read_is_shown_as_its_document(text: str) -> None:
    (thing,) = things_of(Encoded(text), Room())
    assert thing["kind"] == "text"
    assert thing["text"].startswith(text[:20])


def test_rows_are_shown_with_their_labels_unless_these_only_count_them() -> None:
    sums = pd.Series([3, 5], index=pd.Index(["서울", "부산"], name="city"), name="sold")
    (table,) = shown(sums)
    assert (table["columns"], table["rows"]) == (["city", "sold"], [["서울", "3"], ["부산", "5"]])
    (table,) = shown(pd.DataFrame({"a": [1], "b": [2]}))
    assert (table["columns"], table["rows"]) == (["a", "b"], [["1", "2"]])
    pairs = pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]))
    (table,) = shown(pairs)
    assert (table["columns"], table["rows"]) == (["", "", "n"], [["x", "1", "1"], ["y", "2", "2"]])


def test_several_things_are_shown_each_as_what_it_is() -> None:
    said, table, picture, number = shown(["two of them", pd.DataFrame({"a": [1]}), RED, 7])
    assert (said["text"], number["text"]) == ("two of them", "7")
    assert table["rows"] == [["1"]]
    assert picture["src"].startswith("data:image/png;base64,")
    stored = json.dumps({"output": codec.encode(["x", RED])})
    assert png_in(stored, 0) is None
    assert png_in(stored, 1) == base64.b64decode(picture["src"].partition(",")[2])


@pytest.mark.parametrize("value", [None, "text", 7, [1, 2], ["a", "b"], {"a": RED}, []])
def test_anything_else_is_shown_as_its_document(value: Any) -> None:
    assert shown(value) == []


@given(st.lists(st.sampled_from([2, 200, 90_000]), max_size=12))
def test_there_is_room_for_so_many_pictures_and_rows(sizes: list[int]) -> None:
    room, bytes_shown, characters = Room(), 0, 0
    for size in sizes:
        bytes_shown += size * 10 if room.has_picture(size * 10) else 0
        rows = list(room.rows([["x" * 500]] * size))
        assert rows
        assert len(rows) * 500 <= max(LONGEST, 500)
        characters += len(rows) * 500
    assert bytes_shown <= 1_000_000
    assert characters <= MOST + LONGEST + 500 * len(sizes)


@pytest.mark.django_db(transaction=True)
def test_a_recorded_chart_and_its_code_are_shown_as_they_were(conversation: Any, user: Any) -> None:
    """Too large for an event: what is stored beside it comes back."""
    noise, code = Image.effect_noise((500, 400), 50), "sums = df.sum()\nsums.plot()"
    table = pd.DataFrame({"n": range(30_000)})
    call = {"tool": "python_repl_tool", "input": {"code": code}, "output": [noise, table]}
    conversation.record_turn(HumanMessage("Draw."), AIMessage("There."), [call], user=user)
    (turn,) = read_transcript(conversation.pk, user, limit=5).turns
    card, _answer = view_of(turn, show_initial_prompt=True).pieces
    picture, rows = card["things"]
    assert card["input"] == code
    assert picture == shown([noise])[0]
    assert (rows["height"], rows["cut"]) == (30_000, True)
