"""A runner as a project writes one: here, the worker is another process on this machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def start(limits: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-m", "turnlog.consumers.sandbox.inside"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def nothing(limits: Any) -> None:
    return None
