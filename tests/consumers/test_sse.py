"""Server-sent events, read as the standard says a client reads them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from turnlog.consumers.http import sse

TEXTS = st.text() | st.text("\r\n: ad\u2028\x0b\ufeff")


def read(stream: bytes) -> list[dict[str, str]]:
    """HTML Living Standard, 9.2.6: what is dispatched, with name and id."""
    events: list[dict[str, str]] = []
    data: list[str] = []
    event: dict[str, str] = {}
    for line in re.split("\r\n|\r|\n", stream.decode()):
        if not line:
            if data:
                events.append({**event, "data": "\n".join(data)})
            data, event = [], {}
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        else:
            event[field] = value
    return events


@given(st.lists(TEXTS))
def test_a_client_reads_what_was_written(texts: list[str]) -> None:
    """But for the kind of line end, which neither HTML nor JSON tells apart."""
    stream = b"".join(map(sse.event, texts))
    expected = [{"data": re.sub("\r\n|\r", "\n", text)} for text in texts]
    assert read(sse.retry(1_000) + stream) == expected


@given(TEXTS, st.integers(0))
def test_name_and_cursor_stand_beside_the_data(text: str, cursor: int) -> None:
    [event] = read(sse.event(text, name="end", cursor=cursor))
    assert (event["event"], event["id"]) == ("end", str(cursor))


def test_half_a_character_does_no_harm() -> None:
    assert sse.event("\ud83d") == "data: \ufffd\n\n".encode()
