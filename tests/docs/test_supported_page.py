"""The page of what is supported: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "supported.md").read_text()


def test_each_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) > 8
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_each_line_of_a_table_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.endswith("| test |")]
    lacking = [row for row in rows if "tests/" not in row and "not tested" not in row]
    assert lacking == []
