"""Runs mypy over turnlog as it is installed: `python -m tests.typed [mypy's arguments]`.

The checkout's folders are one package only once they are installed, and mypy does not follow an
editable install. So it reads a tree of links, `.cache/typed/turnlog`, laid out like the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREE = ROOT / ".cache" / "typed"


def lay_out() -> None:
    """Link the package's modules into the tree; those that are linked already stay untouched."""
    links = dict(_links())
    for path in TREE.rglob("*"):
        if path.is_symlink() and path not in links:
            path.unlink()
    for link, module in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(module)


def _links() -> Iterator[tuple[Path, Path]]:
    """Yield the links and the files that they lead to, as setuptools would lay them out."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    places = {package: ROOT / place for package, place in setuptools["package-dir"].items()}
    for package in setuptools["packages"]:
        parent, _, name = package.rpartition(".")
        if package not in places:
            places[package] = places[parent] / name
        for path in places[package].iterdir():
            if path.suffix == ".py" or path.name == "py.typed":
                yield TREE.joinpath(*package.split("."), path.name), path


def main(arguments: list[str]) -> int:
    lay_out()
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *(arguments or ["-p", "turnlog"])],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(TREE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    # The files themselves, not the links to them.
    print(done.stdout.replace(f"{TREE.relative_to(ROOT)}/turnlog/", ""), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
