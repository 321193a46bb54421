"""What a chart costs in a sandbox, against the same code in this interpreter."""

from __future__ import annotations

import io
import statistics
from typing import Any

from turnlog.consumers.sandbox.places import Places
from turnlog.consumers.sandbox.seats import Call

from .setting import timed

CHARTS = 15
CODE = """
frame = pd.DataFrame({"day": range(200), "sold": [k % 7 for k in range(200)]})
axes = frame.groupby("day").sold.sum().plot(kind="bar" if len(frame) < 50 else "line")
axes.set_title("Sold")
"""


def chart(user: Any) -> float:
    """Seconds: the median of a run in a warm worker less that of the bare code."""
    import matplotlib
    import pandas as pd

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    def bare() -> None:
        exec(CODE, {"pd": pd, "plt": plt})
        plt.gcf().savefig(io.BytesIO(), format="png")
        plt.close("all")

    places = Places()

    def boxed() -> None:
        outcome = places.run(("bench", user.pk), CODE, None, 30.0, Call())
        if len(outcome.charts) != 1:
            raise RuntimeError(outcome.error)

    try:
        boxed()
        bare()
        return statistics.median(timed(boxed) - timed(bare) for _ in range(CHARTS))
    finally:
        places.end_all()
