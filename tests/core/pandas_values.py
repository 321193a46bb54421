"""Values whose documents one version of pandas, NumPy or Pillow writes and another one reads.

In an environment with other versions, `python -m tests.core.pandas_values` writes their documents
into tests/core/written, in a file that is named after the versions. Never write such a file again.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from PIL import Image

from turnlog.core import codec

WRITTEN = Path(__file__).parent / "written"
LIBRARIES = ("pandas", "numpy", "PIL", "pyarrow", "pytz")

_NIGHT = pd.Timestamp("2026-11-01 06:30", tz="UTC")


def _days(**options: Any) -> Any:
    return pd.date_range("2026", periods=3, **options)


VALUES: dict[str, Callable[[], Any]] = {
    "texts": lambda: pd.DataFrame({"a": ["x", "한", None], "b": [1, 2, 3]}, index=list("ijk")),
    "texts as objects": lambda: pd.Series(["x", None, 1.5], dtype=object),
    "texts with NA": lambda: pd.Series(["x", None], dtype="string"),
    "texts of Arrow": lambda: pd.Series(["x", None], dtype=pd.StringDtype("pyarrow")),
    "texts of Python": lambda: pd.Series(["x", None], dtype=pd.StringDtype("python")),
    "dates": lambda: pd.Series(pd.to_datetime(["2026-01-01", None])),
    "days": _days,
    "seconds": lambda: pd.Series(np.array(["2026-01-01", "NaT"], dtype="M8[s]")),
    "nanoseconds": lambda: pd.Series(np.array(["2026-01-01", "NaT"], dtype="M8[ns]")),
    "durations": lambda: pd.timedelta_range("1h", periods=3, freq="h"),
    "month ends": lambda: _days(freq="ME"),
    "quarter ends": lambda: _days(freq="QE"),
    "year ends": lambda: _days(freq="YE"),
    "hours": lambda: _days(freq="h"),
    "business month ends": lambda: _days(freq="BME"),
    "Mondays": lambda: _days(freq="W-MON"),
    "a zone by name": lambda: _days(tz="Asia/Seoul"),
    "a zone of zoneinfo": lambda: _days(tz=ZoneInfo("Asia/Seoul")),
    "UTC": lambda: _days(tz="UTC"),
    "an offset": lambda: _days(tz=dt.timezone(dt.timedelta(hours=9))),
    "a Timestamp": lambda: pd.Timestamp("2026-07-01", tz="America/New_York"),
    "a Timestamp of winter": lambda: _NIGHT.tz_convert("America/New_York"),
    "a Timedelta": lambda: pd.Timedelta("1h"),
    "missing": lambda: [pd.NaT, pd.NA, None],
    "categories": lambda: pd.Series(pd.Categorical(["a", "b", None], ordered=True)),
    "integers": lambda: pd.Series([1, None], dtype="Int64"),
    "floats": lambda: pd.Series([1.5, None], dtype="Float32"),
    "bools": lambda: pd.Series([True, None], dtype="boolean"),
    "levels": lambda: pd.MultiIndex.from_product([["a", "b"], _days(tz="Asia/Seoul")]),
    "dtypes": lambda: pd.DataFrame({"a": [1], "b": [1.5]}).dtypes,
    "counts": lambda: pd.Series(["a", "b", "a"]).value_counts(),
    "groups": lambda: pd.DataFrame({"i": [1, 2, 3], "g": list("aba")}).groupby("g").describe(),
    "scalars": lambda: [np.int64(1), np.float32(1.5), np.bool_(True), np.str_("a"), np.uint8(3)],
    "moments": lambda: [np.datetime64("2026-01-01"), np.timedelta64(5, "m")],
    "arrays": lambda: [np.arange(3), np.zeros((2, 2), order="F"), np.array(["a", "bc"])],
    "a picture": lambda: Image.frombytes("RGB", (4, 4), bytes(range(48))),
    "a picture of one colour": lambda: Image.new("RGBA", (300, 300), (1, 2, 3, 4)),
}


def facts(value: Any) -> Any:
    """What a value says, in whatever form a version of pandas has it."""
    if isinstance(value, list):
        return [facts(item) for item in value]
    if isinstance(value, pd.DataFrame):
        return [facts(value.index), facts(value.columns), [facts(value[name]) for name in value]]
    if isinstance(value, pd.Series):
        return [facts(value.index), facts(value.name), [facts(item) for item in value]]
    if isinstance(value, pd.Index):
        freq = getattr(value, "freqstr", None)
        return [facts(list(value.names)), freq, [facts(item) for item in value]]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, Image.Image):
        return [value.mode, *value.size, value.tobytes().hex()[:200]]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "missing"
    return str(value)


def main() -> None:
    versions: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    documents = {}
    for name, make in VALUES.items():
        try:
            value = make()
        except ImportError:  # pyarrow is not installed.
            continue
        documents[name] = {"facts": facts(value), "document": codec.dumps(value)}
    file = WRITTEN / ("-".join(f"{name}_{version}" for name, version in versions.items()) + ".json")
    with file.open("x", encoding="utf-8") as out:
        json.dump({"versions": versions, "documents": documents}, out, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
