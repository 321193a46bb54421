"""Reads a tree's imports, and says which of them break the rules of the house.

Every module stands on a floor. An import runs down, and never in a circle of files. An import
inside a function gives its reason: `# lazy: reason`, on its line or above its block.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGE = "turnlog"
FRONT = Path("consumers/turnlog")
"""The folder of the package itself; every other top folder is a room of the package."""

# Slow to import, or optional: everyone knows the reason.
LAZY_WITHOUT_REASON = re.compile(r"(langchain\w*|pandas|numpy|matplotlib|pyarrow)(\.|$)")
REASON = re.compile(r"# lazy: \S")


class Import(NamedTuple):
    """An import statement of a module, and the modules of the tree that it imports."""

    node: ast.Import | ast.ImportFrom
    names: list[str]
    where: str
    """The function that it is in, or TYPE_CHECKING; empty where it runs at once."""

    @property
    def is_relative(self) -> bool:
        return isinstance(self.node, ast.ImportFrom) and self.node.level > 0

    @property
    def is_lazy(self) -> bool:
        return self.where not in ("", "TYPE_CHECKING")


class Tree:
    """The modules under a root, by their dotted names."""

    def __init__(self, root: Path, floors: Sequence[str]) -> None:
        self.root = root
        self.floors = [line.split() for line in floors]
        rooms = {name.partition("/")[0] for line in self.floors for name in line}
        files = sorted(path for room in rooms for path in (root / room).rglob("*.py"))
        self.places = {_dotted(path.relative_to(root)): path.relative_to(root) for path in files}
        self.imports = {name: list(self._imports_of(name)) for name in self.places}

    def problems(self) -> list[str]:
        """One sentence for each rule that is broken; empty if the house stands."""
        return [
            *self._unlisted(),
            *self._upward(),
            *self._circles(),
            *self._too_early(),
            *self._absolute(),
            *self._lazy_without_reason(),
        ]

    def _unlisted(self) -> Iterator[str]:
        listed = set()
        for place in self.places.values():
            floor, entry = self._floor(place)
            listed.add(entry)
            if floor is None:
                yield f"{place} stands on no floor; list it or its folder"
        for entry in {name for line in self.floors for name in line} - listed:
            yield f"a floor lists {entry}, and no file stands there"

    def _upward(self) -> Iterator[str]:
        for module, imported in self._edges():
            source, target = self.places[module], self.places[imported.names[0]]
            (here, own), (there, other) = self._floor(source), self._floor(target)
            # Names on one line know nothing of one another; files of one folder may.
            if here is not None and there is not None and own != other and there >= here:
                yield f"{source}:{imported.node.lineno} imports {target}, which is not below it"

    def _circles(self) -> Iterator[str]:
        graph: dict[str, set[str]] = {module: set() for module in self.places}
        for module, imported in self._edges():
            graph[module] |= set(imported.names)
        while True:
            try:
                graphlib.TopologicalSorter(graph).prepare()
            except graphlib.CycleError as error:
                circle = error.args[1]  # Each imports the one before it.
                yield "a circle of imports: " + " -> ".join(
                    str(self.places[module]) for module in reversed(circle)
                )
                graph[circle[1]].discard(circle[0])
            else:
                return

    def _too_early(self) -> Iterator[str]:
        for module, imported in self._edges():
            place = self.places[module]
            # Such a package stands above its modules, and Python runs it before each of them.
            stands_above = place.name == "__init__.py" and self._floor(place)[1] == str(place)
            if stands_above and not imported.where:
                yield f"{place}:{imported.node.lineno} imports at once what stands below it"

    def _absolute(self) -> Iterator[str]:
        for module, imported in self._edges():
            place = self.places[module]
            if not imported.is_relative and not place.is_relative_to(FRONT):
                yield f"{place}:{imported.node.lineno} imports {PACKAGE} by its absolute name"

    def _lazy_without_reason(self) -> Iterator[str]:
        for module, imports in self.imports.items():
            place = self.places[module]
            lines = (self.root / place).read_text().splitlines()
            imported_on = {
                line
                for each in imports
                for line in range(each.node.lineno, (each.node.end_lineno or 0) + 1)
            }
            for node in (each.node for each in imports if each.is_lazy):
                if not _is_known(node) and not _has_reason(node, lines, imported_on):
                    yield f"{place}:{node.lineno} imports in a function without `# lazy: reason`"

    def _floor(self, place: Path) -> tuple[int | None, str]:
        """The floor that a file stands on, counted from the ground, and the entry that says so.

        A file's own entry goes before its folder's, an inner folder's before an outer one's.
        """
        candidates = [str(place), *(f"{folder}/" for folder in place.parents)]
        for candidate in candidates:
            for number, line in enumerate(reversed(self.floors)):
                if candidate in line:
                    return number, candidate
        return None, ""

    def _edges(self) -> Iterator[tuple[str, Import]]:
        """Each module with each single import of another module of the tree."""
        for module, imports in self.imports.items():
            for each in imports:
                for name in each.names:
                    yield module, each._replace(names=[name])

    def _imports_of(self, module: str) -> Iterator[Import]:
        path = self.root / self.places[module]
        is_package = path.name == "__init__.py"
        package = module if is_package else module.rpartition(".")[0]
        for node, where in _statements(ast.parse(path.read_text())):
            if where == "__getattr__" and is_package:
                continue  # How a package gives its public names before Django is ready.
            found = [self._nearest(name) for name in _absolute_names(node, package)]
            names = sorted({name for name in found if name and name != module})
            yield Import(node, names, where)

    def _nearest(self, name: str) -> str | None:
        """The module that a name stands for: itself, or the one that has it as an attribute."""
        if name in self.places:
            return name
        parent = name.rpartition(".")[0]
        return parent if parent in self.places else None


def _dotted(place: Path) -> str:
    inner = place.relative_to(FRONT) if place.is_relative_to(FRONT) else place
    parts = [part for part in inner.with_suffix("").parts if part != "__init__"]
    return ".".join([PACKAGE, *parts])


def _statements(
    node: ast.AST, where: str = ""
) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Every import statement, and where it is: see `Import.where`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, where
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, where or child.name)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _statements(child, where or "TYPE_CHECKING")
        else:
            yield from _statements(child, where)


def _absolute_names(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _is_known(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and bool(LAZY_WITHOUT_REASON.match(node.module or ""))
    return all(LAZY_WITHOUT_REASON.match(alias.name) for alias in node.names)


def _has_reason(
    node: ast.Import | ast.ImportFrom, lines: Sequence[str], imported_on: set[int]
) -> bool:
    own = lines[node.lineno - 1 : node.end_lineno]
    if any(REASON.search(line) for line in own):
        return True
    above = node.lineno - 1  # One reason is enough for a block of imports.
    while above in imported_on:
        above -= 1
    while above and lines[above - 1].lstrip().startswith("#"):
        if REASON.search(lines[above - 1]):
            return True
        above -= 1
    return False
