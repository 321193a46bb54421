"""A value whose own text fails is shown by another one, wherever stored values are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langchain_core.messages import HumanMessage

from turnlog.consumers.analysis.heads import beginning
from turnlog.consumers.answering.tool_values import _told
from turnlog.consumers.page.room import Room
from turnlog.consumers.page.things import things_of
from turnlog.consumers.templatetags.turnlog_review import review_text
from turnlog.core import codec
from turnlog.core.masking.masker import Masker
from turnlog.core.wording import text_of
from turnlog.projections.admin import _words
from turnlog.projections.travel import replaying

LATE, EARLY = "9999-12-31T23:59:59", "0001-01-01T00:00:00"


def moved(moment: str, zone: str) -> Any:
    """What other systems write for "never", in a time zone where it has another year."""
    naive = np.array(["2024-01-01", moment], dtype="datetime64[s]")
    return pd.Series(naive, name="t").dt.tz_localize("UTC").dt.tz_convert(zone)


MOVED = {LATE: moved(LATE, "Asia/Seoul"), EARLY: moved(EARLY, "America/New_York")}


class Wordless:
    def __str__(self) -> str:
        raise OSError("no words")


@pytest.mark.parametrize("moment", MOVED)
def test_a_date_that_its_zone_moves_out_of_range_is_shown_in_utc(moment: str) -> None:
    with pytest.raises(NotImplementedError):
        str(MOVED[moment][1])
    assert text_of(MOVED[moment][1]) == f"{moment}Z"


def test_any_other_value_is_shown_by_its_type() -> None:
    assert text_of(Wordless()) == "<Wordless>"
    assert text_of(10**5000) == "<int>"  # Python writes no number of so many digits.


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("moment", MOVED)
def test_a_page_and_a_prompt_have_it_in_each_place_of_a_table(moment: str, is_masked: bool) -> None:
    times, mask = MOVED[moment], Masker(1) if is_masked else None
    frame = pd.DataFrame({"o": [1, times[1]], times[1]: [10**5000, 2]}, index=times)
    frame["t"] = times.array
    for value in (times, frame, [frame, pd.Series([1, 2], index=times, name="n")]):
        for thing in things_of(codec.encode(value), Room(), mask):
            assert thing["kind"] == "table"
            assert any(f"{moment}Z" in row for row in thing["rows"])
    assert f"{moment}Z" in beginning(times)
    assert beginning(frame).count(f"{moment}Z") == 4


def test_a_span_of_time_in_a_cell_of_its_own_is_masked_as_text() -> None:
    cells = pd.Series([np.timedelta64(5, "s"), timedelta(seconds=5)], dtype=object)
    (table,) = things_of(codec.encode(cells), Room(), Masker(1))
    assert [row[0] for row in table["rows"]] == ["5 seconds", "0:00:05"]


def test_a_table_that_pandas_reads_and_does_not_give_out_is_shown_as_its_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(pd.DataFrame, "itertuples", fails)
    (thing,) = things_of(codec.encode(pd.DataFrame({"a": [1]})), Room())
    assert thing["kind"] == "text"


def test_lists_of_messages_have_it_too() -> None:
    date = MOVED[LATE][1]
    odd = HumanMessage(content=[{"type": "date", "date": date}])
    assert review_text(odd).startswith("<list>")
    assert _words({"tool": "t", "output": date}) == f"t: {LATE}Z"
    assert _words([date]) == "<list>"
    assert replaying._block(date) == f"{LATE}Z"
    assert _told(date) == f"{LATE}Z"
    assert _told([date]) == "[list]"
