"""Runs the Python blocks of one page in order, in one namespace, in the tutorial's project.

python run_blocks.py PAGE     (DJANGO_SETTINGS_MODULE, PYTHONPATH and SQLITE_PATH say where)
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


def python_blocks(text: str) -> list[tuple[int, str]]:
    """(line number, code) of each ```python block but those after `<!-- not run: reason -->`."""
    blocks: list[tuple[int, str]] = []
    lines = text.splitlines()
    before = ""
    start: int | None = None
    for number, line in enumerate(lines, 1):
        if start is None and line == "```python":
            start = number + 1
        elif start is not None and line == "```":
            if not before.startswith("<!-- not run: "):
                blocks.append((start, "\n".join(lines[start - 1 : number - 1]) + "\n"))
            start = None
        elif start is None and line:
            before = line
    return blocks


def run(page: Path) -> dict[str, object]:
    # A module like any other: dataclasses look theirs up by name.
    module = sys.modules[f"documented_{page.stem}"] = ModuleType(f"documented_{page.stem}")
    namespace = vars(module)
    for line, code in python_blocks(page.read_text(encoding="utf-8")):
        # Blank lines in front, so that a traceback names the page's own line.
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), namespace)
    return namespace


if __name__ == "__main__":
    import django

    django.setup()
    run(Path(sys.argv[1]))
