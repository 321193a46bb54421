"""docs/evolution.md: what it names is what the code names. Its blocks run in test_docs.py."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, codes, section, text_of
from turnlog.events.upcasters import FIXED_NAMES, check_upcasters

PAGE = text_of("docs/evolution.md")


def test_names_that_cannot_change_are_listed() -> None:
    listed = section(PAGE, "## What upcasters cannot do").split("The names stand")[0]
    assert codes(listed) == list(FIXED_NAMES)


def test_the_systems_check_and_the_command_are_named() -> None:
    assert str(check_upcasters.__doc__).split(":")[0] in PAGE
    assert "make samples" in PAGE
    assert "-m tests.events.samples" in text_of("Makefile")


def test_files_that_are_named_are_there() -> None:
    for path in re.findall(r"`((?:events|projections|tests)/[\w/]+\.?\w*/?)`", PAGE):
        assert (ROOT / path).exists(), path


def test_nothing_says_any_more_that_there_are_no_upcasters() -> None:
    assert "upcasters" not in text_of("README.md").split("## Not yet")[1]
    assert "no upcasters" not in text_of("docs/architecture.md").replace("\n", " ")
