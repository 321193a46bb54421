"""turnlog's commands in processes of their own, on this test's database."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from django.db import connection


def start(*command: str, **environment: str) -> subprocess.Popen[str]:
    """A management command that runs beside the test."""
    given = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"]),
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "django", *command],
        env=given,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*command: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that has run to its end."""
    process = start(*command, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_until(condition: Any, process: subprocess.Popen[str]) -> None:
    """Look again and again, as long as the process lives, until something is so."""
    while not condition():
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"it has ended: {process.communicate()}")
