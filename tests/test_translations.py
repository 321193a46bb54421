"""The compiled translations are those of the sources, and nothing is left untranslated."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow_once

ROOT = Path(__file__).parent.parent
SOURCES = sorted(ROOT.glob("*/locale/ko/LC_MESSAGES/django.po"))
ENTRY = re.compile(
    r'(?:msgctxt ((?:"[^\n]*"\s*)+))?msgid ((?:"[^\n]*"\s*)+)'
    # Korean has one form for all numbers.
    r'(?:msgid_plural (?:"[^\n]*"\s*)+)?msgstr(?:\[0\])? ((?:"[^\n]*"\s*)+)'
)


def entries(source: Path) -> dict[str, str]:
    """Messages by their key in a compiled catalogue: context, EOT and message."""

    def text(quoted: str) -> str:
        return "".join(ast.literal_eval(line) for line in quoted.splitlines() if line.strip())

    found = {}
    for context, message, translation in ENTRY.findall(source.read_text(encoding="utf-8")):
        key = text(message)
        found[f"{text(context)}\x04{key}" if context else key] = text(translation)
    found.pop("")
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_the_compiled_catalogue_is_that_of_the_source(source: Path) -> None:
    with source.with_suffix(".mo").open("rb") as compiled:
        found = gettext.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    # A message with a plural is (message, 0).
    catalogue = {key if isinstance(key, str) else key[0]: text for key, text in found.items()}
    catalogue.pop("")
    assert catalogue == entries(source)
    assert all(catalogue.values())


def test_every_room_that_speaks_to_people_is_translated() -> None:
    assert [path.relative_to(ROOT).parts[0] for path in SOURCES] == [
        "consumers",
        "core",
        "events",
        "projections",
    ]


def test_every_sentence_in_python_has_its_translation() -> None:
    known = {key.rpartition("\x04")[2] for source in SOURCES for key in entries(source)}
    for room in ("consumers", "core", "events", "projections"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                if is_call and node.func.id == "_" and isinstance(node.args[0], ast.Constant):
                    assert node.args[0].value in known, path
