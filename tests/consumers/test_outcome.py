"""What the page offers below a turn, by how the turn ended."""

from __future__ import annotations

import re

import pytest

from turnlog.consumers.page.frames import HtmlEncoder
from turnlog.consumers.page.turn_view import TurnView


class Told(TurnView):
    """A turn that has something to say about its end."""

    error = "Why it ended."  # type: ignore[assignment]


def offered(kind: type[TurnView], outcome: str, *, show_human: bool = True) -> list[str]:
    turn = kind(id="t", version=3, outcome=outcome, human_text="Hi", show_human=show_human, at=None)
    # Every turn can be copied.
    return re.findall(r'data-action="(?!copy")([\w-]+)"', HtmlEncoder().turn(turn, 3)[0])


@pytest.mark.parametrize("kind", [TurnView, Told])
def test_what_a_turn_offers(kind: type[TurnView]) -> None:
    assert offered(kind, "open") == []
    assert offered(kind, "failed") == ["again"]
    assert offered(kind, "interrupted") == ["again"]
    assert offered(kind, "cancelled") == ["go-on", "again"]
    assert offered(kind, "unrecorded") == []
    assert offered(kind, "erased") == []


def test_an_answer_that_ended_early_can_be_continued() -> None:
    assert offered(TurnView, "completed") == []
    assert offered(Told, "completed") == ["go-on"]


def test_words_that_are_not_shown_are_not_offered_again() -> None:
    assert offered(TurnView, "cancelled", show_human=False) == ["go-on"]
