"""The pages are read as plain Markdown too, on code hosting sites and on PyPI."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.pages import DOCS, PAGES, ROOT, ROOT_PAGES, relative, text_of
from tests.docs.rendered import Code, Text, parts

pytestmark = pytest.mark.slow_once

EVERY_PAGE = [*ROOT_PAGES, *PAGES]


@pytest.mark.parametrize("page", EVERY_PAGE, ids=relative)
def test_no_page_needs_more_than_markdown(page: Path) -> None:
    """MyST's directives, roles, targets and definition lists are Sphinx's only."""
    text = page.read_text(encoding="utf-8")
    for part in parts(text):
        if isinstance(part, Code):
            assert re.fullmatch(r"[a-z]*", part.language), f"a directive: {part.language}"
            assert part.code.strip(), f"an empty block after {part.above.words!r}"
        else:
            words = re.sub(r"`[^`]*`", "code", part.words)
            for extension in (r":::", r"\{[\w-]+\}code", r"^\([\w-]+\)=", r"\[\^"):
                assert not re.search(extension, words), f"{extension}: {part.words!r}"
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "inline":
            lines = token.content.splitlines()
            assert not [line for line in lines if line.startswith(": ")], "a definition list"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=relative)
def test_every_block_of_code_is_closed(page: Path) -> None:
    """One that is not swallows the rest of the page."""
    text = page.read_text(encoding="utf-8")
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.map:
            last = text.splitlines()[token.map[1] - 1]
            assert last.strip(" >") == token.markup, f"open from line {token.map[0] + 1}"


def test_the_index_leads_to_every_page() -> None:
    """Sphinx's navigation is made from these links, and a reader elsewhere has nothing else."""
    listed = set(re.findall(r"\]\(([\w/-]+\.md)\)", text_of("docs/index.md")))
    pages = {path.relative_to(DOCS).as_posix() for path in PAGES} - {"index.md"}
    assert listed == {page for page in pages if not page.startswith("decisions/0")}


# PyPI shows the README without the repository around it.


def test_the_readmes_links_are_absolute_and_their_files_exist() -> None:
    urls = tomllib.loads(text_of("pyproject.toml"))["project"]["urls"]
    files = f"{urls['Repository']}/blob/main/"
    targets = [
        target
        for part in parts(text_of("README.md"))
        if isinstance(part, Text)
        for target in re.findall(r"<(\S+?)>", part.words)
    ]
    assert len(targets) > 20
    for target in targets:
        assert target.startswith("https://") or target.startswith("http://127.0.0.1"), target
        if target.startswith(urls["Repository"]):
            assert target.startswith(files), target
            name, _, anchor = target.removeprefix(files).partition("#")
            assert (ROOT / name).is_file(), target
            assert not anchor or anchor in slugs(text_of(name)), target


def test_the_projects_urls_lead_to_files_that_exist() -> None:
    urls = tomllib.loads(text_of("pyproject.toml"))["project"]["urls"]
    assert {"Repository", "Documentation", "Changelog", "Issues"} <= set(urls)
    files = f"{urls['Repository']}/blob/main/"
    for name in ("Documentation", "Changelog"):
        assert (ROOT / urls[name].removeprefix(files)).is_file(), urls[name]
    assert urls["Issues"] == f"{urls['Repository']}/issues"


def slugs(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
