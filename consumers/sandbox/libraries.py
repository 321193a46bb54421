"""Which files the code in a box may read: the interpreter, and the libraries that it may import.

Not the whole of site-packages: a project, or a company's own packages, may be installed there.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"),
    *("/usr/share/zoneinfo", "/etc/localtime", "/dev/null", "/dev/urandom"),
)
"""What programs of a system need: shared libraries and time zones."""
CONFINING = ("landlockpy", "seccompy")
FOREIGN = ("site-packages", "dist-packages")
"""Folders of libraries that are installed, wherever they are."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@functools.cache
def readable(libraries: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files and folders that a worker may read, without links."""
    paths = [*SYSTEM, *_interpreter(), str(Path(__file__).parent / "inside")]
    for distribution in sorted(_required([*libraries, *CONFINING])):
        paths += _files_of(distribution)
    found = {os.path.realpath(path) for path in paths if os.path.exists(path)}
    return tuple(sorted(found))


def folders() -> tuple[str, ...]:
    """Return the folders in which Python looks for modules; their names may be listed."""
    standard, binary = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    site = [path for path in sys.path if Path(path).name in FOREIGN]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in (standard, binary, *site)))


def site_folders() -> tuple[str, ...]:
    """Return the folders with installed libraries, for a worker's `sys.path`."""
    return tuple(path for path in folders() if Path(path).name in FOREIGN)


def interpreter() -> str:
    """Return the path of Python itself, without links."""
    return os.path.realpath(sys.executable)


def standard_library() -> str:
    """Return the folder of the standard library."""
    return os.path.realpath(sysconfig.get_path("stdlib"))


def _interpreter() -> Iterator[str]:
    yield interpreter()
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        # Each by itself, since a folder of installed libraries may be among them.
        yield from (entry.path for entry in os.scandir(folder) if entry.name not in FOREIGN)
    shared = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
    yield from map(str, shared.glob("libpython*.so*"))


def _required(names: list[str]) -> set[str]:
    """Return these libraries and what they require, as far as it is installed."""
    found: set[str] = set()
    while names:
        name = names.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for requirement in distribution.requires or ():
            # What only an extra requires is not needed; other markers do no harm.
            if "extra ==" not in requirement and (match := _NAME.match(requirement)):
                names.append(match[0])
    return found


def _files_of(name: str) -> Iterator[str]:
    distribution = metadata.distribution(name)
    tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
    for top in sorted(tops):
        if top != "__pycache__":
            yield str(distribution.locate_file(top))
