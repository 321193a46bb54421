"""The garbage collector waits while a tool's large value is encoded, and never longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from langchain_core.messages import ToolMessage

from turnlog.consumers.answering import collector
from turnlog.consumers.answering.collector import collector_waits
from turnlog.consumers.answering.tool_values import value_of
from turnlog.consumers.mixins.limits import Limits

pytestmark = pytest.mark.slow_once


@contextmanager
def full_collections() -> Iterator[list[int]]:
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(1)

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


def test_nothing_is_collected_while_a_large_value_is_encoded() -> None:
    rows = [[number, {"of": [number]}] for number in range(200_000)]
    with full_collections() as seen:
        value_of(ToolMessage("many", tool_call_id="1", artifact=rows), Limits())
    assert seen == []
    assert gc.isenabled()


def test_it_goes_on_after_the_last_who_lets_it_wait() -> None:
    with collector_waits():
        with pytest.raises(ValueError, match="no"), collector_waits():
            raise ValueError("no")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_those_who_overlap_do_not_keep_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    first = collector_waits()
    first.__enter__()
    monkeypatch.setattr(collector, "_LONGEST", 0.0)
    with collector_waits():
        first.__exit__(None, None, None)
        assert gc.isenabled()
    assert gc.isenabled()


def test_a_project_that_has_turned_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with collector_waits():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
