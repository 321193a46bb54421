"""The wheel, built from the checkout; and commands that do not see the tests' environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def built_wheel(folder: Path) -> Path:
    """Build the wheel into a folder; its path."""
    # From a copy: setuptools leaves a build folder where it works.
    source = folder / "source"
    left_out = (".*", "node_modules", "build", "dist", "*.egg-info", "_build")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*left_out))
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source))
    [built] = folder.glob("*.whl")
    return built


def install(python: str, *what: str) -> None:
    """Install into an environment: by uv, in a fifth of pip's time, or by pip."""
    try:
        run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *what)
    except AssertionError:  # uv finds no package index.
        run(python, "-m", "pip", "install", "--quiet", *what)


def run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a command without the tests' settings; what it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "TURNLOG_"))}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
