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


@dataclasses.dataclass
class Drawn:
    """The figures that code has drawn."""

    pictures: list[bytes] = dataclasses.field(default_factory=list)
    """As PNG."""
    is_cut: bool = False
    """Whether some are left out."""
    lacks_font: bool = False
    """Whether letters have no font."""
    error: Exception | None = None
    """Why a figure cannot be drawn: its labels are no formula, for example."""


def drawn(most: int, largest: int) -> Drawn:
    """Draw the open figures, and close them. `most` bounds their number, `largest` the bytes of
    each."""
    found = Drawn()
    if "matplotlib.pyplot" not in sys.modules:
        return found
    import matplotlib.pyplot as plt

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            numbers = plt.get_fignums()
            for number in numbers[:most]:
                _add(plt.figure(number), found, largest)
    finally:
        plt.close("all")
    found.is_cut |= len(numbers) > most
    found.lacks_font = any("missing from" in str(each.message) for each in caught)
    return found


def _add(figure: Any, found: Drawn, largest: int) -> None:
    if not (figure.get_axes() or figure.texts or figure.images):
        return
    try:
        picture = _png(figure)
    except Exception as error:  # noqa: BLE001 - whatever matplotlib, or the code's artists, raise
        found.error = error
        return
    if len(picture) <= largest:
        found.pictures.append(picture)
    else:
        found.is_cut = True


def _png(figure: Any) -> bytes:
    longer = max(*figure.get_size_inches(), 0.1)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=min(figure.dpi, LARGEST / longer))
    return picture.getvalue()
