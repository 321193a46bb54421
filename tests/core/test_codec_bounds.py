"""What reading a stored document costs, however it is made: docs/codec.md states the bound."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.crafted import DOCUMENTS, multiples
from turnlog.core.codec import CodecError, dumps, encode, loads

pytestmark = pytest.mark.slow_once

RATIO = 100
CONSTANT = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def costs() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.crafted"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_reading_costs_in_proportion_to_the_size(costs: dict[str, Any], name: str) -> None:
    cost = costs[name]
    assert cost["ended"].startswith(("read", "refused"))
    assert cost["memory"] <= RATIO * cost["size"] + CONSTANT


def test_what_is_refused_is_told_in_one_sentence(costs: dict[str, Any]) -> None:
    for cost in costs.values():
        if cost["ended"].startswith("refused"):
            assert "Error:" not in cost["ended"] or "malformed" in cost["ended"]
            assert "\n" not in cost["ended"]


def test_keys_that_collide_are_refused_when_they_are_recorded() -> None:
    """What is recorded can be read."""
    for value in (set(multiples(65)), dict.fromkeys(multiples(65)), {(n,) for n in multiples(65)}):
        with pytest.raises(CodecError, match="share one hash"):
            encode(value)


@pytest.mark.parametrize(
    "value",
    [
        set(multiples(64)),
        dict.fromkeys(product([-1, -2], repeat=6)),
        {frozenset([-1]), frozenset([-2])},
        {0, 2**61 - 1, Decimal(2**61 - 1) * 2},
        {-1, -2, -1.5, (), frozenset()},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_few_keys_may_share_a_hash(value: Any) -> None:
    assert loads(dumps(value)) == value


def test_levels_categories_and_labels_come_back() -> None:
    """turnlog checks them itself: pandas would use hash tables."""
    moments = pd.date_range("2026", periods=3, tz="Asia/Seoul")
    indexes = [
        pd.Index([3, 1, 2]),
        pd.Index([1.5, None]),
        pd.Index(["b", "a", None]),
        pd.Index([1, "a", None], dtype=object),
        pd.Index([True, False]),
        pd.Index([1j, 2j]),
        pd.Index([1, None], dtype="Int64"),
        pd.Index(["x", "y"], dtype="string"),
        pd.CategoricalIndex(["x", "y"]),
        moments,
        moments.tz_localize(None),
        pd.to_timedelta([1, 2]),
        pd.RangeIndex(3),
    ]
    for one in indexes:
        several = pd.MultiIndex.from_product([one, [1, 2]])
        pd.testing.assert_index_equal(loads(dumps(several)), several)
        labelled = pd.Series(range(len(one)), index=one).set_flags(allows_duplicate_labels=False)
        assert loads(dumps(labelled)).flags.allows_duplicate_labels is False
        if not one.hasnans:
            dtype = pd.CategoricalDtype(one, ordered=True)
            assert loads(dumps(dtype)) == dtype
    rows = pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")])
    labelled = pd.Series(range(3), index=rows).set_flags(allows_duplicate_labels=False)
    pd.testing.assert_series_equal(loads(dumps(labelled)), labelled)


@pytest.mark.parametrize(
    "twice",
    [
        pd.Index([1, 1]),
        pd.Index([1.5, float("nan"), float("nan")]),
        pd.Index(["a", "a"]),
        pd.Index([1, 1], dtype=object),
        pd.Index([1, 1], dtype="Int64"),
        pd.DatetimeIndex(["2026", "2026"]),
        pd.CategoricalIndex(["x", "x"]),
        pd.MultiIndex.from_tuples([(1, "a"), (2, "a"), (1, "a")]),
    ],
    ids=str,
)
def test_labels_that_repeat_are_refused_where_they_must_not(twice: Any) -> None:
    document = encode(pd.Series(range(len(twice)), index=twice))
    document["_value"]["unique_labels"] = True
    with pytest.raises(CodecError, match="must be unique"):
        loads(json.dumps(document))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("codes", [[0, 2], [0, 1]]),
        ("codes", [[-2, 0], [0, 1]]),
        ("codes", [[0], [0, 1]]),
        ("sortorder", 2),
        ("sortorder", 3),
        ("sortorder", -1),
        ("names", [None]),
    ],
)
def test_a_multiindex_that_does_not_fit_is_refused(part: str, value: Any) -> None:
    document = encode(pd.MultiIndex(levels=[[1, 2], [1, 2]], codes=[[1, 0], [0, 1]]))
    if part == "codes":
        value = [encode(np.array(codes, dtype="i1")) for codes in value]
    document["_value"][part] = value
    with pytest.raises(CodecError):
        loads(json.dumps(document))
