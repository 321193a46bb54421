"""A file's name as somebody's browser gives it, made harmless: it is shown, and models read it."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 100
"""Characters of a name."""

_READ = 4_096
"""Characters of what is given that are looked at."""
_LONGEST_SUFFIX = 12
# Separators of paths; what else no file system of a person's allows; and what hides or turns text.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and families of emoji need them.


def plain_name(given: str, default: str) -> str:
    """Return the last part of a path as one short line; `default` if nothing is left of it."""
    last = re.split(r"[/\\]", given[-_READ:])[-1]
    last = unicodedata.normalize("NFC", last)
    kept = "".join(c for c in last if c in _JOINERS or unicodedata.category(c) not in _UNSEEN)
    name = " ".join(kept.split()).strip(". " + _JOINERS)
    if not name:
        return default
    if len(name) > LONGEST:
        stem, dot, suffix = name.rpartition(".")
        end = f"…{dot}{suffix}" if stem and len(suffix) <= _LONGEST_SUFFIX else "…"
        name = name[: LONGEST - len(end)] + end
    return name
