"""A font with Hangul, for charts: matplotlib's own has none."""

from __future__ import annotations

import functools
from pathlib import Path

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")
WANTED = ("NanumGothic.ttf", "NotoSansKR-Regular.*", "NotoSansCJK-Regular.ttc", "NotoSansCJK*.otf")


@functools.cache
def hangul() -> tuple[str, ...]:
    """Return the path of the first such font on this machine; empty if there is none."""
    for wanted in WANTED:
        for folder in FOLDERS:
            for found in sorted(Path(folder).rglob(wanted)):
                return (str(found),)
    return ()
