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
from turnlog.core.codec import blobs
from turnlog.core.codec.encoded import Encoded
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
        cut = blobs.cut(text, longest)
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
