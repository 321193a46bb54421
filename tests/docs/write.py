"""Writes into the pages what they quote: whole files beside them, and docstrings.

make pages, or python -m tests.docs.write
"""

from __future__ import annotations

import os
import re

import django

from .pages import PAGES, QUOTED, TUTORIAL


def with_files(text: str) -> str:
    """A page with today's files below the lines that name them."""

    def block(match: re.Match[str]) -> str:
        folders = [folder for folder in QUOTED if folder != TUTORIAL]
        files = [path for folder in folders if (path := folder / match[2]).is_file()]
        return f"{match[1]}{files[0].read_text('utf-8')}```\n" if files else match[0]

    return re.sub(r"(^`([\w.-]+)`:\n\n```\w+\n)(?:.*?)^```\n", block, text, flags=re.M | re.S)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
    django.setup()
    from . import reference  # What it quotes imports models.

    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = with_files(before)
        if page == reference.PAGE:
            after = reference.written(after)
        if after != before:
            page.write_text(after, encoding="utf-8")
