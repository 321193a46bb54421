"""The figures that code has drawn, as PNG; and the fonts that they find."""

from __future__ import annotations

import dataclasses
import io
import math
import struct
import sys
import warnings
from collections.abc import Sequence
from typing import Any

HANGUL_NAMES = ("NanumGothic", "Malgun Gothic", "AppleGothic", "Noto Sans KR", "Arial")
"""Families that code for Korean charts asks for, and the one that seaborn's themes ask for."""
LARGEST = 3000
"""Pixels of a figure's longer side; what lies beside the axes may add to it."""


def prepare(fonts: Sequence[str]) -> None:
    """Make matplotlib draw without a screen, and find these fonts for Hangul."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    vars(plt)["show"] = lambda *args, **kwargs: None
    # Fonts with Hangul often have no minus sign of its own.
    matplotlib.rcParams["axes.unicode_minus"] = False
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
    pixels: int = 0
    """Those of all pictures."""
    is_cut: bool = False
    """Whether some are left out."""
    lacks_font: bool = False
    """Whether letters have no font."""
    error: Exception | None = None
    """Why a figure cannot be drawn: its labels are no formula, for example."""


def drawn(bounds: dict[str, int]) -> Drawn:
    """Draw the open figures, and close them. `charts` bounds their number, `chart` the bytes of
    each, `pixels` those of all together."""
    found, most = Drawn(), bounds["charts"]
    if "matplotlib.pyplot" not in sys.modules:
        return found
    import matplotlib.pyplot as plt

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            numbers = plt.get_fignums()
            for number in numbers[:most]:
                _add(plt.figure(number), found, bounds)
    finally:
        plt.close("all")
    found.is_cut |= len(numbers) > most
    found.lacks_font = any("missing from" in str(each.message) for each in caught)
    return found


def pixels_of(png: bytes) -> int:
    """Return how many pixels a PNG has, by its header."""
    return math.prod(struct.unpack(">II", png[16:24]))


def _add(figure: Any, found: Drawn, bounds: dict[str, int]) -> None:
    if not (figure.get_axes() or figure.texts or figure.images):
        return
    try:
        picture = _png(figure)
    except Exception as error:  # noqa: BLE001 - whatever matplotlib, or the code's artists, raise
        found.error = error
        return
    pixels = found.pixels + pixels_of(picture)
    if len(picture) <= bounds["chart"] and pixels <= bounds["pixels"]:
        found.pictures.append(picture)
        found.pixels = pixels
    else:
        found.is_cut = True


def _png(figure: Any) -> bytes:
    size = [max(side, 0.1) for side in figure.get_size_inches()]
    figure.dpi = min(figure.dpi, LARGEST / max(size))
    box = figure.get_tightbbox()
    # With what lies beside the axes, as notebooks show it; unless something lies far away.
    fits = 0 < box.width < 1.3 * size[0] and 0 < box.height < 1.3 * size[1]
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=figure.dpi, bbox_inches="tight" if fits else None)
    return picture.getvalue()
