"""Blobs: a document without its large strings, and with them again."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnlog.core import codec
from turnlog.core.codec import blobs, cutting
from turnlog.core.codec.encoded import Encoded
from turnlog.core.codec.excerpts import beginning, outline
from turnlog.core.errors import CodecError

pytestmark = pytest.mark.slow_once

Loaded = list[tuple[str, int | None]]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The blobs that can be loaded."""
    return kept_by(monkeypatch)[0]


def kept_by(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], Loaded]:
    kept: dict[str, bytes] = {}
    loaded: Loaded = []

    def load(digest: str, most: int | None) -> bytes:
        loaded.append((digest, most))
        if digest not in kept:
            raise CodecError(f"no blob {digest}")
        return kept[digest][:most]

    monkeypatch.setattr(blobs, "_loader", [load])
    return kept, loaded


texts = (
    st.text()
    | st.text('\\"\n\x00\ud800\ude00é한👋', max_size=40)
    | st.binary().map(lambda data: b64encode(data).decode())
    | st.binary().map(lambda data: f"data:image/png;base64,{b64encode(data).decode()}")
)
values = st.recursive(
    texts | st.binary(max_size=60) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(value=values, longest=st.integers(0, 60))
@example(value={"_type": "blob", "_value": {"sha256": "0" * 64, "size": 3}}, longest=0)
@example(value='{"_type":"blob","_value":{"sha256":"' + "0" * 64 + '","size":3}}', longest=9)
@example(value=["\ud800", "\ude00", "\ud800" * 40, "\\" * 41, '"' * 40], longest=9)
@example(value=b64encode(bytes(range(61))).decode(), longest=9)
def test_any_document_comes_back_at_any_threshold(value: Any, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kept, _ = kept_by(patch)
        text = codec.dumps(value)
        cut = cutting.cut(text, longest)
        kept |= cut.blobs
        assert blobs.whole(cut.text) == text
        assert codec.loads(cut.text) == value
        assert codec.decode(Encoded(cut.text)) == value
        assert {blob.sha256 for blob in blobs.blobs_in(cut.text)} == cut.blobs.keys()
        assert all(sha256(data).hexdigest() == key for key, data in cut.blobs.items())
        assert all(len(codec.to_json(said)) - 2 <= longest for said in strings(cut.text))


def strings(text: str) -> Iterator[str]:
    """The strings of a JSON text that are neither keys nor part of a node."""
    rest: list[Any] = [json.loads(text)]
    while rest:
        part = rest.pop()
        if type(part) is str:
            yield part
        elif type(part) is list:
            rest += part
        elif type(part) is dict and part.get("_type") != "blob":
            rest += [item for key, item in part.items() if key != "_type"]


def test_the_form_of_a_node_is_fixed(kept: dict[str, bytes]) -> None:
    """What is stored is permanent: these texts are read for ever."""
    data = bytes(range(48))
    said = b64encode(data).decode()
    text = codec.dumps([said, f"data:image/png;base64,{said}", "é" * 70])
    cut = cutting.cut(text, 60)
    binary, written = sha256(data).hexdigest(), sha256("é".encode() * 70).hexdigest()
    assert cut.text == (
        f'[{{"_type":"blob","_value":{{"sha256":"{binary}","size":48,"base64":""}}}},'
        f'{{"_type":"blob","_value":{{"sha256":"{binary}","size":48,'
        '"base64":"data:image/png;base64,"}},'
        f'{{"_type":"blob","_value":{{"sha256":"{written}","size":140}}}}]'
    )
    assert cut.blobs == {binary: data, written: "é".encode() * 70}


@pytest.mark.parametrize("last", ["B", "C", "P"])
def test_base64_that_would_come_back_otherwise_is_a_text(kept: dict[str, bytes], last: str) -> None:
    text = codec.dumps("A" * 85 + last + "==")
    cut = cutting.cut(text, 60)
    [blob] = blobs.blobs_in(cut.text)
    assert blob.base64 is None
    kept |= cut.blobs
    assert blobs.whole(cut.text) == text


def test_an_outline_loads_nothing_and_a_beginning_no_more_than_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, loaded = kept_by(monkeypatch)
    value = {"tool": "look_up", "output": "가" * 100_000, "picture": bytes(100_000), "n": [1]}
    cut = cutting.cut(codec.dumps(value), 1024)
    kept |= cut.blobs
    outlined = outline(cut.text, 1)
    assert (outlined["tool"], outlined["n"], loaded) == ("look_up", [1], [])
    assert beginning(outlined["output"], 2_000) == "가" * 2_000
    assert loaded == [(sha256("가".encode() * 100_000).hexdigest(), 8_000)]
    loaded.clear()
    assert beginning(outlined["picture"], 30) == codec.to_json(outlined["picture"])[:30]
    assert loaded == []
    assert codec.decode(outlined["picture"]) == bytes(100_000)


def test_what_is_not_the_blob_that_was_stored_is_not_read(kept: dict[str, bytes]) -> None:
    cut = cutting.cut(codec.dumps("가" * 2_000), 1024)
    with pytest.raises(CodecError, match="no blob"):
        codec.loads(cut.text)
    [digest] = cut.blobs
    for data, why in ((b"", "to have 6000 bytes, found 0"), (b"\xff" * 6000, "to be a text")):
        kept[digest] = data
        with pytest.raises(CodecError, match=why):
            codec.loads(cut.text)


def test_reading_costs_no_more_than_was_stored(
    kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crafted document could name one blob a million times."""
    cut = cutting.cut(codec.dumps("a " * 1_000), 1024)
    kept |= cut.blobs
    monkeypatch.setattr(blobs, "MOST", 50_000)
    codec.loads(f"[{','.join([cut.text] * 25)}]")
    with pytest.raises(CodecError, match="at most 50000 bytes"):
        codec.loads(f"[{','.join([cut.text] * 26)}]")


def test_a_large_string_is_cut_before_it_is_written_and_gives_the_same(
    kept: dict[str, bytes],
) -> None:
    for value in (bytes(range(256)) * 5_000, "가\ud800\n" * 400_000, "a" * 900_000):
        document = codec.encode({"value": value, "small": 1})
        cut = cutting.cut_document(document, 1024)
        assert cut == cutting.cut(codec.to_json(document), 1024)
        kept |= cut.blobs
        assert codec.loads(cut.text) == {"value": value, "small": 1}
        assert cutting.cut_document(document, 5_000_000).blobs == {}
