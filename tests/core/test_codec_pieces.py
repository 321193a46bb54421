"""Large values are written and read in pieces: nothing takes the interpreter for long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core import codec
from turnlog.core.codec import Encoded, excerpts, json_text, scalars, strings
from turnlog.core.codec.scanning import end_of_string
from turnlog.core.wellformed import wellformed

pytestmark = pytest.mark.slow_once

texts = st.text(st.sampled_from('a"\\\n\0한\ud800\udc00[]{},: \U0001f600'))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    """The same code for values that Hypothesis can make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "PIECE", 3)
        patch.setattr(json_text, "_CHARACTERS", 2)
        patch.setattr(strings, "_SLICE", 3)
        patch.setattr(scalars, "_SLICE", 3)
        patch.setattr(excerpts, "_SMALL", 3)
        yield


def whole(document: Any) -> Any:
    if isinstance(document, Encoded):
        return json.loads(document.text)
    if isinstance(document, list):
        return [whole(item) for item in document]
    if isinstance(document, dict):
        return {key: whole(item) for key, item in document.items()}
    return document


@given(values, st.integers(0, 4))
def test_pieces_make_the_same_text(value: Any, depth: int) -> None:
    document = codec.encode(value)
    text = codec.to_json(document)
    assert text == once(document)
    outlined = excerpts.outline(text, depth)
    assert whole(outlined) == json.loads(text)
    assert codec.to_json(outlined) == text
    assert codec.loads(text) == value


def once(document: Any) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "PIECE", 10**9)
        return codec.to_json(document)


@given(values)
def test_pieces_for_a_model_are_what_json_writes(value: Any) -> None:
    document = codec.encode(value)
    write = json.JSONEncoder(ensure_ascii=False).encode
    assert "".join(json_text.pieces(document, write, ", ")) == json.dumps(
        document, ensure_ascii=False
    )


@given(st.lists(st.integers() | texts))
def test_chunks_hold_every_value_once(items: list[Any]) -> None:
    chunks = list(json_text.chunks(items))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) <= 3 for chunk in chunks)


@given(st.text() | st.lists(st.text()), st.integers(0, 20))
def test_the_beginning_is_the_beginning(value: Any, length: int) -> None:
    document = codec.encode(value)
    text = codec.to_json(document)
    shown = value if isinstance(value, str) else text
    assert excerpts.beginning(document, length) == shown[:length]
    assert excerpts.beginning(Encoded(text), length) == shown[:length]


@given(st.binary())
def test_base64_in_pieces_is_base64(data: bytes) -> None:
    import base64

    text = scalars.to_base64(data)
    assert text == base64.b64encode(data).decode()
    assert scalars.from_base64(text) == data


@pytest.mark.parametrize("text", ["AA==AAAA", "AAA=AAAA", "AAAA====", "AAAAA"])
def test_base64_that_is_padded_too_early_is_refused(text: str) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode({"_type": "bytes", "_value": text})


@pytest.mark.parametrize(
    "text", ["[1,2", '{"a":', '["a', "[1]]", '{"a" 1 2}', '{"a":1,"b"}', "[1 2", "[}", ""]
)
def test_what_is_not_json_has_no_outline(text: str) -> None:
    with pytest.raises(codec.CodecError, match="not strict JSON"):
        excerpts.outline(text, 3)


@given(texts)
def test_wellformed_in_slices(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turnlog.core.wellformed._SLICE", 2)
        shown = wellformed(text)
    assert shown == wellformed(text)
    shown.encode()


def test_no_piece_is_longer_than_its_bound() -> None:
    """Of a large text, and of many rows."""
    written: list[int] = []

    def write(part: Any) -> str:
        text = json.dumps(part)
        written.append(len(text))
        return text

    for value in ("x" * 10_000, [{"row": number} for number in range(1000)], {"a": ["x" * 999]}):
        assert "".join(json_text.pieces(value, write, ", ")) == json.dumps(value)
    assert max(written) < 100


class _Counted(str):
    read = 0

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.read += len(part)
        return part


@given(st.integers(0, 300_000))
def test_the_end_of_a_string_is_found_without_reading_much_behind_it(length: int) -> None:
    text = _Counted('"' + "x" * length + '"' + "y" * 400_000)
    assert end_of_string(text, 0) == length + 2
    assert text.read <= 10 * length + 200
