from __future__ import annotations

import datetime as dt
import uuid
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.events.store.hashing import GENESIS, event_hash, microseconds, payload_digest

EVENT: dict[str, Any] = {
    "stream_id": 3,
    "version": 2,
    "type": "MessageAppended",
    "schema": 1,
    "turn_id": uuid.UUID("00000000-0000-4000-8000-000000000001"),
    "actor_id": None,
    "recorded_at": dt.datetime(2026, 11, 22, 12, 30, 0, 123456, tzinfo=dt.UTC),
    "metadata": "{}",
    "digest": bytes(range(32)),
}


def test_the_layout_is_the_documented_one() -> None:
    """Written out by hand from the documentation, not by the code under test."""
    moment = 1795350600123456
    layout = (
        b"turnlog event v1\n"
        + bytes(32)
        + (3).to_bytes(8, "big")
        + (2).to_bytes(8, "big")
        + moment.to_bytes(8, "big")
        + (1).to_bytes(2, "big")
        + b"\x01"
        + EVENT["turn_id"].bytes
        + bytes(17)
        + bytes(range(32))
        + (15).to_bytes(2, "big")
        + b"MessageAppended"
        + (2).to_bytes(4, "big")
        + b"{}"
    )
    assert event_hash(GENESIS, **EVENT) == sha256(layout).digest()


CHANGES = {
    "stream_id": 4,
    "version": 3,
    "type": "MessageAppendeD",
    "schema": 2,
    "turn_id": None,
    "actor_id": uuid.UUID(int=0),
    "recorded_at": EVENT["recorded_at"] + dt.timedelta(microseconds=1),
    "metadata": "{ }",
    "digest": bytes(32),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_is_in_the_hash(name: str) -> None:
    assert event_hash(GENESIS, **EVENT) != event_hash(GENESIS, **{**EVENT, name: CHANGES[name]})


def test_the_previous_hash_is_in_the_hash() -> None:
    assert event_hash(GENESIS, **EVENT) != event_hash(bytes(31) + b"\x01", **EVENT)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_events_share_a_layout(type_a: str, meta_a: str, type_b: str, meta_b: str) -> None:
    """Lengths are part of the layout: text cannot move from one field into the next."""

    def hashed(type_: str, metadata: str) -> bytes:
        return event_hash(GENESIS, **{**EVENT, "type": type_, "metadata": metadata})

    assert (hashed(type_a, meta_a) == hashed(type_b, meta_b)) == (
        (type_a, meta_a) == (type_b, meta_b)
    )


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(9000, 1, 1)))
def test_microseconds_are_exact(moment: dt.datetime) -> None:
    aware = moment.replace(tzinfo=dt.UTC)
    back = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds(aware))
    assert back == aware


@given(st.binary(min_size=32, max_size=32), st.text())
def test_the_digest_is_over_salt_and_payload(salt: bytes, payload: str) -> None:
    assert payload_digest(salt, payload) == sha256(salt + payload.encode()).digest()
