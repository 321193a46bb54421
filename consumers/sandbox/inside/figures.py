"""The figures that code has drawn, as PNG; and the fonts that they find."""

from __future__ import annotations

import dataclasses
import io
import sys
import warnings
from collections.abc import Sequence
from typing import Any

HANGUL_NAMES = ("NanumGothic", "Malgun Gothic", "AppleGothic", "Noto Sans KR", "Arial")
"""Families that code for Korean charts asks for, and the one that seaborn's themes ask for."""
LARGEST = 3000
"""Pixels of a figure's longer side."""


def prepare(fonts: Sequence[str]) -> None:
    """Make matplotlib draw without a screen, and find these fonts for Hangul."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    vars(plt)["show"] = lambda *args, **kwargs: None
    manager = font_manager.fontManager
    for path in fonts:
        manager.addfont(path)
        added = manager.ttflist[-1]
        known = {font.name for font in manager.ttflist}
        manager.ttflist += [
            dataclasses.replace(added, name=name) for name in HANGUL_NAMES if name not in known
        ]
        matplotlib.rcParams["font.family"] = ["DejaVu Sans", added.name]


def drawn(most: int, largest: int) -> tuple[list[bytes], bool, bool]:
    """Return the open figures as PNG, close them, and say whether some are left out, and whether
    letters have no font. `most` bounds their number, `largest` the bytes of each."""
    if "matplotlib.pyplot" not in sys.modules:
        return [], False, False
    import matplotlib.pyplot as plt

    pictures = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = plt.get_fignums()
        for number in numbers[:most]:
            figure = plt.figure(number)
            if figure.get_axes() or figure.texts or figure.images:
                pictures.append(_png(figure))
        plt.close("all")
    whole = [picture for picture in pictures if len(picture) <= largest]
    is_cut = len(numbers) > most or len(whole) < len(pictures)
    return whole, is_cut, any("missing from" in str(each.message) for each in caught)


def _png(figure: Any) -> bytes:
    longer = max(*figure.get_size_inches(), 0.1)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=min(figure.dpi, LARGEST / longer))
    return picture.getvalue()
