from __future__ import annotations

import contextlib
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.consumers.socket.requests import (
    BadRequest,
    Earlier,
    Ping,
    Say,
    Source,
    Stop,
    parse_request,
)

ID = "9a3f0f3e-6d1c-4d57-9b6e-0d2f7b1c8a11"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ({"user_text": "hi", "turn_id": ID}, Say("hi", uuid.UUID(ID))),
        ({"user_text": " hi\n", "turn_id": ID, "HEADERS": {}}, Say(" hi\n", uuid.UUID(ID))),
        ({"type": "ping"}, Ping()),
        ({"type": "stop", "turn_id": ID}, Stop(uuid.UUID(ID))),
        ({"type": "source", "turn_id": ID}, Source(uuid.UUID(ID))),
        ({"type": "earlier", "before": 7}, Earlier(7)),
    ],
)
def test_what_may_be_asked(text: object, request_: object) -> None:
    assert parse_request(json.dumps(text), None) == request_


def test_a_client_without_turn_ids_is_given_one() -> None:
    first, second = (parse_request('{"user_text": "hi"}', None) for _ in range(2))
    assert isinstance(first, Say)
    assert isinstance(second, Say)
    assert first.turn_id != second.turn_id


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "send a JSON object"),
        ("[]", "send a JSON object"),
        ("[" * 100_000, "send a JSON object"),
        (
            '{"x": 1}',
            'The field "x" is unknown; the fields are files, instead_of, turn_id, user_text.',
        ),
        ('{"type": "ping", "y": 1}', "the fields are type"),
        ('{"type": "dance"}', "no such request"),
        ('{"type": ["ping"]}', "no such request"),
        ('{"user_text": 5}', "must be text"),
        ('{"user_text": "  \\n"}', "is empty"),
        ('{"user_text": "hi", "turn_id": "zz"}', "must be a UUID"),
        ('{"user_text": "hi", "turn_id": 5}', "must be a UUID"),
        ('{"type": "stop"}', "must be a UUID"),
        ('{"type": "earlier", "before": true}', "must be a version"),
        ('{"type": "earlier", "before": 0}', "must be a version"),
        ('{"type": "earlier", "before": 1e99}', "must be a version"),
    ],
)
def test_what_may_not_is_one_clear_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        parse_request(text, None)


def test_binary_frames_are_refused() -> None:
    with pytest.raises(BadRequest, match="Only text"):
        parse_request(None, b"\x00")


def test_the_longest_message_counts_characters(settings: object) -> None:
    settings.TURNLOG = {"MAX_MESSAGE_LENGTH": 4}  # type: ignore[attr-defined]
    assert isinstance(parse_request('{"user_text": "안녕👍🏽"}', None), Say)
    with pytest.raises(BadRequest, match=r"has 5 characters; at most 4 .* Shorten it") as caught:
        parse_request(json.dumps({"user_text": "안녕👍🏽!", "turn_id": ID}), None)
    assert caught.value.turn_id == ID


def test_a_frame_that_can_hold_no_message_is_not_even_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(BadRequest, match="far too long"):
        parse_request(" " * 1_000_000, None)


def test_the_longest_message_fits_however_it_is_escaped() -> None:
    text = "\U0001f44d" * 32_768
    headers = {"HX-Current-URL": "x" * 2_000}
    frame = json.dumps({"user_text": text, "turn_id": ID, "HEADERS": headers}, ensure_ascii=True)
    assert parse_request(frame, None) == Say(text, uuid.UUID(ID))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["type", "user_text", "turn_id", "before", "HEADERS"])


@given(st.dictionaries(FIELDS, JSON | st.sampled_from(["ping", "stop", "earlier", ID])))
def test_whatever_comes_is_a_request_or_a_bad_one(fields: dict[str, object]) -> None:
    with contextlib.suppress(BadRequest):  # Anything else is the test's failure.
        parse_request(json.dumps(fields), None)
