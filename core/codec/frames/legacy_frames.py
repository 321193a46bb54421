"""DataFrame and Series as django-pyhub-ai stored them: the output of `to_dict()`, without dtypes.

The codec reads these documents and never writes them. The result holds what `to_dict()` kept: the
labels are text, and pandas infers the dtypes.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..dispatch import dec
from ..fault import expect


def decode_legacy_frame(body: Any, depth: int) -> Any:
    return pd.DataFrame.from_dict(dec(expect(body, dict, "the value of a DataFrame"), depth))


def decode_legacy_series(body: Any, depth: int) -> Any:
    return pd.Series(dec(expect(body, dict, "the value of a Series"), depth))
