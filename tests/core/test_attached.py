"""Pictures and files among a message's content blocks, whoever recorded them."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from turnlog.core.attached import as_text_block, attached, bytes_of, words_of
from turnlog.core.codec.blobs import Blob
from turnlog.projections.messages.previous import HistoryRule

DATA = base64.b64encode(b"some bytes").decode()


def test_a_projects_own_pictures_are_found_by_their_blocks() -> None:
    content = [
        "words",
        {"type": "text", "text": "more"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image", "base64": DATA, "mime_type": "image/gif"},
        {"type": "file", "base64": DATA, "mime_type": "application/pdf"},
    ]
    found = attached(content, {})
    assert [(each.number, each.kind, each.mime_type) for each in found] == [
        (2, "picture", "image/png"),
        (3, "picture", ""),
        (4, "picture", "image/gif"),
        (5, "file", "application/pdf"),
    ]
    read = [bytes_of(content[each.number], each.kind, each.mime_type, str.encode) for each in found]
    assert read == [b"some bytes", None, b"some bytes", b"some bytes"]
    blob = Blob("abc", 9, "data:image/webp;base64,")
    [large] = attached([{"type": "image_url", "image_url": {"url": blob}}], {})
    assert large.mime_type == "image/webp"
    block = {"type": "image", "base64": blob}
    assert bytes_of(block, "picture", "image/webp", str.encode) == b"abc"
    assert words_of(content, {}) is None  # The message's own text is what was said.


@given(st.text(), st.text(max_size=50).filter(lambda name: '"' not in name))
def test_a_text_comes_back_from_its_block(text: str, name: str) -> None:
    data = bytes_of(as_text_block(name, text), "file", "text/plain", str.encode)
    assert data == text.encode("utf-8", "replace")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "base64", "text", "block", "name", "attachments", "url"]),
            inner | st.sampled_from(["image", "file", "text", "image_url"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_whatever_was_recorded_is_looked_at_without_an_error(content: Any, kwargs: Any) -> None:
    words_of(content, kwargs)
    for each in attached(content, kwargs):
        bytes_of(content[each.number], each.kind, each.mime_type, str.encode)


def test_base64_does_not_count_as_text() -> None:
    large = "A" * 400_000
    pdf = {"type": "file", "base64": large, "mime_type": "application/pdf"}
    image = {"type": "image", "base64": large, "mime_type": "image/png"}
    said = [
        HumanMessage([{"type": "text", "text": "Read"}, pdf, image]),
        AIMessage("Yes."),
        HumanMessage("And?"),
        AIMessage("No."),
    ]
    assert count_tokens_approximately(said) > 100_000
    assert HistoryRule(max_tokens=15_000).of_messages(said) == said
    assert HistoryRule(max_tokens=10_000).of_messages(said) == said[2:]
