"""docs/reference.md lists every public name, and every name that another page tells to import."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT, ROOT_PAGES, text_of
from tests.docs.reference import entries, found, written

pytestmark = pytest.mark.slow_once

PAGE = text_of("docs/reference.md")
PACKAGES = ["consumers", "core.codec", "mixins", "models", "projections", "specs"]


def documented() -> list[Any]:
    """Whatever the page's comments name, and the members of modules that are listed whole."""
    objects = []
    for name, _, wanted in entries(PAGE):
        objects.append(each := found(name))
        if isinstance(each, ModuleType) and wanted == "*":
            objects += [value for key, value in vars(each).items() if not key.startswith("_")]
    return objects


def imported() -> list[tuple[str, str]]:
    """(module, name) of each `from turnlog... import` that the documentation shows."""
    pages = [*PAGES, *ROOT_PAGES, *(ROOT / "docs" / "tutorial").rglob("*.py")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    lines = re.findall(r"\bfrom (turnlog[\w.]*) import ([\w, ]+)", text)
    return sorted({(module, name.strip()) for module, names in lines for name in names.split(",")})


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_documented(package: str) -> None:
    listed = documented()
    module = import_module(f"turnlog.{package}")
    missing = [name for name in module.__all__ if getattr(module, name) not in listed]
    assert missing == []


def test_names_that_pages_import_are_documented() -> None:
    listed = documented()
    missing = [
        f"{module}.{name}"
        for module, name in imported()
        if not isinstance(value := found(f"{module}.{name}"), ModuleType) and value not in listed
    ]
    assert missing == []
    assert len(imported()) > 20


def test_the_page_quotes_todays_docstrings() -> None:
    assert written(PAGE) == PAGE, "a signature or docstring has changed: run `make pages`"
