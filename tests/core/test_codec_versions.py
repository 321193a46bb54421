"""What one version of pandas, NumPy and Pillow wrote, with pyarrow or without, others read."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from tests.core.pandas_values import VALUES, WRITTEN, facts
from turnlog.core.codec import dumps, loads
from turnlog.core.codec.frames import pandas_zones

pytestmark = pytest.mark.slow_once

FILES = {file.stem: json.loads(file.read_text("utf-8")) for file in WRITTEN.glob("*.json")}
CASES = [(file, name) for file, content in FILES.items() for name in content["documents"]]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_what_other_versions_wrote_is_read(file: str, name: str) -> None:
    written = FILES[file]["documents"][name]
    value = loads(written["document"])
    assert facts(value) == written["facts"]
    # It can be recorded here, and then comes back as it is.
    again = dumps(value)
    assert dumps(loads(again)) == again


def test_there_are_files_of_both_pandas_with_and_without_pyarrow() -> None:
    kinds = {
        (content["versions"]["pandas"].partition(".")[0], "pyarrow" in content["versions"])
        for content in FILES.values()
    }
    assert kinds == {("2", True), ("2", False), ("3", True), ("3", False)}


def test_every_value_is_in_a_file() -> None:
    assert {name for _, name in CASES} == set(VALUES)


def test_texts_of_arrow_are_read_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas 3 makes such texts wherever pyarrow is installed."""
    made = pd.StringDtype.__init__

    def without(self: Any, storage: Any = None, na_value: Any = pd.NA) -> None:
        if storage == "pyarrow":
            raise ImportError("pyarrow is required")
        made(self, storage, na_value=na_value)

    monkeypatch.setattr(pd.StringDtype, "__init__", without)
    document = (
        '{"_type":"pandas.array","_value":{"dtype":{"name":"string","storage":"pyarrow","na_value":'
        '{"_type":"pandas.NA","_value":null}},"items":["x",null]}}'
    )
    assert facts(pd.Series(loads(document))) == facts(pd.Series(["x", None]))


@pytest.mark.parametrize("where", ["Timestamp", "datetime", "DatetimeIndex"])
def test_a_zone_that_was_stored_as_one_of_pytz_is_the_zone_of_that_name(where: str) -> None:
    """Once, under pandas 2, zones of pytz were stored with a tag of their own."""
    zone = '{"_type":"pandas.pytz","_value":"Asia/Seoul"}'
    document = {
        "Timestamp": '{"_type":"pandas.Timestamp","_value":{"utc":"2025-12-31T18:04:05.123456789",'
        f'"unit":"ns","tz":{zone},"fold":0}}}}',
        "datetime": '{"_type":"datetime","_value":{"wall":"2026-01-01T03:04:05.123456","tz":'
        f'{zone},"fold":0}}}}',
        "DatetimeIndex": '{"_type":"pandas.Index","_value":{"values":{"_type":"pandas.array",'
        f'"_value":{{"dtype":{{"name":"datetime","unit":"ns","tz":{zone}}},"values":{{"_type":'
        '"numpy.ndarray","_value":{"dtype":"<M8[ns]","shape":[1],"order":"C","data":'
        '"AGB8N9pUhhg="}}}},"name":null}}',
    }[where]
    value = loads(document)
    first = value[0] if where == "DatetimeIndex" else value
    assert first.isoformat().startswith("2026-01-01T")
    assert first.isoformat().endswith("+09:00")
    assert str(first.tzinfo) == "Asia/Seoul"
    if where != "datetime":
        assert type(first.tzinfo) is type(pandas_zones._by_name("Asia/Seoul"))
