"""Libraries that are installed and not for the box: absent, rather than there and unreadable.

Landlock lets Python see their names, and not open their files. Libraries try to import others, and
go without one where that raises ImportError; a PermissionError would end them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


class Absent(MetaPathFinder):
    """Says of what cannot be read that it is not there."""

    def __init__(self, folders: Sequence[str], readable: Sequence[str]) -> None:
        self._folders = folders
        self._readable = {os.path.realpath(path) for path in readable}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        """Return None, so that others look; raise ModuleNotFoundError for what is not for them."""
        if path is None and self._folders and name not in sys.stdlib_module_names:
            spec = PathFinder.find_spec(name, list(self._folders))
            places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
            if places and not any(self._may_read(place) for place in places if place):
                raise ModuleNotFoundError(f"No module named {name!r} in the sandbox", name=name)
        return None

    def _may_read(self, place: str) -> bool:
        return any(place == path or place.startswith(path + os.sep) for path in self._readable)
