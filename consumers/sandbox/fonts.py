"""A font with Hangul, for charts: matplotlib's own has none."""

from __future__ import annotations

import contextlib
import functools
import os
from importlib import metadata
from pathlib import Path

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")
PACKAGE = "koreanize-matplotlib"
"""A library that has NanumGothic with it (MIT; the font under the SIL Open Font License)."""
WANTED = ("NanumGothic.ttf", "NotoSansKR-Regular.*", "NotoSansCJK-Regular.ttc", "NotoSansCJK*.otf")


@functools.cache
def hangul() -> tuple[str, ...]:
    """Return the path of a font on this machine; empty if there is none."""
    for wanted in WANTED:
        for folder in FOLDERS:
            for found in sorted(Path(folder).rglob(wanted)):
                return (str(found),)
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.distribution(PACKAGE).files or ():
            if file.name == WANTED[0]:
                return (os.path.realpath(file.locate()),)
    return ()
