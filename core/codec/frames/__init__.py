"""Everything about NumPy and pandas: arrays, data frames, and what they hold.

| files | hold |
|---|---|
| `numpy_dtypes`, `numpy_arrays` | NumPy's dtypes, arrays and scalars |
| `pandas_scalars`, `pandas_zones` | Timestamp, Timedelta, NaT, NA, and their time zones |
| `pandas_dtypes`, `pandas_arrays` | extension dtypes and extension arrays |
| `pandas_indexes`, `pandas_frames` | Index and its kinds; DataFrame, Series |
| `legacy_frames` | frames that django-pyhub-ai stored |

The rest of the codec knows this folder by `LIBRARIES` alone. Importing this package imports neither
library. The `numpy_*` files work without pandas.
"""

from __future__ import annotations

from ..libraries import EncoderFor, Library


def _numpy() -> EncoderFor:
    from .numpy_arrays import encoder_for  # lazy: imports NumPy, which is optional

    return encoder_for


def _pandas() -> EncoderFor:
    from .pandas_frames import encoder_for  # lazy: imports pandas, which is optional

    return encoder_for


_NUMPY = Library("numpy", _numpy, "give numpy.asarray(value), value.tolist() or float(value)")
_PANDAS = Library("pandas", _pandas, "give a plain Series or DataFrame")

# `DataFrame` and `Series` are tags that django-pyhub-ai wrote.
LIBRARIES = {"numpy": _NUMPY, "pandas": _PANDAS, "DataFrame": _PANDAS, "Series": _PANDAS}
