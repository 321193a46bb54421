"""Imports run one way: consumers -> projections -> events -> core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = ("core", "events", "projections", "consumers")


def imported_rooms(path: Path, room: str) -> Iterator[tuple[int, str]]:
    """The rooms that a file of a room imports from, with the lines."""
    depth = len(path.relative_to(ROOT / room).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield node.lineno, name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom | ast.Import):
            module = getattr(node, "module", None)
            for name in [module] if module else [alias.name for alias in node.names]:
                if name.partition(".")[0] == "turnlog":
                    yield node.lineno, f"turnlog (absolute): {name}"


def violations(room: str) -> list[str]:
    allowed = FLOORS[: FLOORS.index(room)]
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        if path.is_relative_to(ROOT / "consumers" / "turnlog"):
            continue  # The package's own front: the tutorial's names, above every floor.
        for line, target in imported_rooms(path, room):
            if target not in (*allowed, room):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    return found


def test_imports_run_downwards() -> None:
    assert [found for room in FLOORS for found in violations(room)] == []


def test_every_room_is_seen() -> None:
    """The test above would pass in an empty folder."""
    targets = {
        target
        for path in (ROOT / "consumers").rglob("*.py")
        for _, target in imported_rooms(path, "consumers")
    }
    assert {"core", "events", "projections"} <= targets


def test_an_import_upwards_is_found(tmp_path: Path, monkeypatch: object) -> None:
    upwards = ast.parse("from ..consumers import live")
    node = upwards.body[0]
    assert isinstance(node, ast.ImportFrom)
    assert node.level == 2
    assert node.module == "consumers"
