"""Reading the documentation's pages, and running what they show."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests import forked

from .rendered import Code

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial"
HERE = Path(__file__).resolve().parent

# Whose files pages quote: whole ones of the last two, parts of the tutorial's project.
QUOTED = [TUTORIAL, DOCS / "examples", DOCS / "sql"]

ROOT_PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = sorted(path for folder in (".", "ko", "decisions") for path in (DOCS / folder).glob("*.md"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = heading.split(" ", 1)[0]
    _, _, rest = text.partition(f"\n{heading}\n")
    assert rest, f"no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows, without their headers."""
    tables = re.findall(r"^\|.*\n\|[-|: ]+\n((?:\|.*\n?)*)", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def codes(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def quoted(block: Code) -> Path | None:
    """The file that a block of code quotes; None if it quotes none."""
    places = [folder / block.file for folder in QUOTED if block.file]
    return next((place for place in places if place.is_file()), None)


def run(script: Path, *arguments: str, folder: Path, **environment: str) -> str:
    """A script in the tutorial's project, on a database in `folder`; what it printed."""
    theirs = ("PG", "OPENAI_", "TURNLOG_", "DJANGO_", "SQL")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    paths = [TUTORIAL, ROOT, HERE, folder]
    given = {
        **clean,
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "OFFLINE_TUTOR_PAUSE": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "SQLITE_PATH": str(folder / "db.sqlite3"),
        "SQL_LOG": "WARNING",
        **environment,
    }
    result = forked.run(str(script), *arguments, folder=folder, environment=given)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
