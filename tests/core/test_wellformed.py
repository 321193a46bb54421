"""Texts and values as JSON and UTF-8 can carry them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.wellformed import TextStream, slices, wellformed, wellformed_value

pytestmark = pytest.mark.slow_once

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from("a\ud83d\ude00\udce9é")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@given(ANY_TEXT)
def test_any_text_can_leave(text: str) -> None:
    assert wellformed(text).encode().decode() == wellformed(text)
    assert wellformed(wellformed(text)) == wellformed(text)


@given(st.text())
def test_a_text_without_halves_is_the_same(text: str) -> None:
    assert wellformed(text) is text


@given(st.text())
def test_halves_are_joined(text: str) -> None:

    apart = "".join(map(chr, memoryview(text.encode("utf-16-le")).cast("H"))) if text else ""
    assert wellformed(apart) == text


@given(ANY_TEXT, st.lists(st.integers(0, 40)))
def test_a_text_in_pieces_is_the_whole_text(text: str, cuts: list[int]) -> None:
    stream = TextStream()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    shown = [stream.feed(piece) for piece in pieces] + [stream.end()]
    assert "".join(shown) == wellformed(text)


@given(ANY_TEXT, st.integers(1, 5))
def test_slices_are_bounded_and_cut_no_character(text: str, size: int) -> None:
    parts = list(slices(text, size))
    assert "".join(parts) == text
    assert all(len(part) in range(1, size + 2) for part in parts)
    assert "".join(map(wellformed, parts)) == wellformed(text)


@given(JSON)
def test_any_value_can_leave(value: Any) -> None:
    out = wellformed_value(value)
    assert json.dumps(out, ensure_ascii=False, allow_nan=False).encode() != b""
    assert wellformed_value(out) is out


@pytest.mark.parametrize(
    ("value", "out"),
    [
        ({"a\ud83d\ude00": ["\ud83d", math.nan]}, {"a😀": ["\ufffd", "NaN"]}),
        ([-math.inf, math.inf, 1.5], ["-Infinity", "Infinity", 1.5]),
    ],
)
def test_what_becomes_of_what_cannot(value: Any, out: Any) -> None:
    assert wellformed_value(value) == out
