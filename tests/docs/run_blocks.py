"""Runs the Python blocks of one page in order, in one namespace, in the tutorial's project.

python run_blocks.py PAGE     (DJANGO_SETTINGS_MODULE, PYTHONPATH and SQLITE_PATH say where)
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

from markdown_it import MarkdownIt


def python_blocks(text: str) -> list[tuple[int, str]]:
    """(line number, code) of each block of Python but those that are a file, by what stands above
    them, and those after `<!-- not run: reason -->`."""
    blocks: list[tuple[int, str]] = []
    above = ""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.info == "python" and token.map:
            if not re.search(r"^<!-- not run: |`[\w./-]+\.py`[^`]*:$", above):
                blocks.append((token.map[0] + 2, token.content))
        elif token.type in ("inline", "html_block"):
            above = token.content.strip()
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
