"""Runs the siege as root, or as an ordinary user of this machine."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
NOBODY = "65534"


def as_root() -> list[str]:
    """Return what goes before a command that root is to run. Raises Unavailable."""
    if os.getuid() != 0:
        raise Unavailable("the tests do not run as root")
    return []


def as_an_ordinary_user() -> list[str]:
    """Return what goes before a command that an ordinary user is to run. Raises Unavailable."""
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        raise Unavailable("setpriv and unshare of util-linux are not installed")
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT}
    closed = {folder for path in needed if (folder := _closed(path))}
    if not closed:
        return drop
    # The interpreter is in root's home: in a namespace of its own, this user gets to it.
    lines = ["set -e"]
    held = {path: _place(number) for number, path in enumerate(sorted(needed)) if _closed(path)}
    lines += [f"mount --bind {path} {hold}" for path, hold in held.items()]
    lines += [f"mount -t tmpfs -o mode=755 none {folder}" for folder in sorted(closed)]
    for path, hold in held.items():
        lines += [f"mkdir -p {path}", f"mount --bind {hold} {path}"]
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *drop]


class Unavailable(Exception):
    """This machine does not have such a user."""


def _place(number: int) -> str:
    """An empty folder for a mount that only the namespace sees: each run can use the same."""
    folder = Path(tempfile.gettempdir(), f"turnlog-held-{number}")
    folder.mkdir(exist_ok=True)
    return str(folder)


def _closed(path: Path) -> Path | None:
    """Return the topmost folder above a path that others may not pass; None if they may."""
    for folder in reversed([path, *path.parents]):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None
