"""Inside the codec, imports run one way, and one place knows the NumPy and pandas part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import turnlog.core.codec

pytestmark = pytest.mark.slow_once

CODEC = Path(turnlog.core.codec.__file__).parent
FILES = {
    ".".join(path.relative_to(CODEC).with_suffix("").parts): path
    for path in sorted(CODEC.rglob("*.py"))
}


def relative_imports(name: str) -> Iterator[tuple[ast.ImportFrom, set[str]]]:
    """Each relative import in a file, at any depth of its code, with the codec's files it means."""
    folder = name.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level and node.level <= len(folder) + 1:
            parts = folder[: len(folder) + 1 - node.level]
            parts += node.module.split(".") if node.module else []
            targets = set()
            for alias in node.names:
                named = ".".join([*parts, alias.name])
                package = ".".join([*parts, "__init__"])
                module = ".".join(parts)
                targets.add(next(one for one in (named, package, module) if one in FILES))
            yield node, targets


def test_there_is_no_circle() -> None:
    graph = {
        name: {target for _, targets in relative_imports(name) for target in targets}
        for name in FILES
    }
    assert "frames.numpy_arrays" in graph["frames.__init__"]
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_an_import_inside_a_function_states_its_reason() -> None:
    lazy = []
    for name, path in FILES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        lazy += [
            (name, lines[node.lineno - 1])
            for node, _ in relative_imports(name)
            if node.col_offset > 0
        ]
    assert [name for name, _ in lazy] == ["frames.__init__", "frames.__init__", "optional"]
    assert [line for _, line in lazy if "# lazy: " not in line] == []


def test_one_place_knows_the_numpy_and_pandas_part() -> None:
    into_frames = {
        (name, target)
        for name in FILES
        if not name.startswith("frames.")
        for _, targets in relative_imports(name)
        for target in targets
        if target.startswith("frames.")
    }
    assert into_frames == {("optional", "frames.__init__")}
    for name, path in FILES.items():
        if not name.startswith("frames."):
            text = path.read_text(encoding="utf-8")
            assert "import numpy" not in text
            assert "import pandas" not in text
            assert '"numpy' not in text
            assert '"pandas' not in text
