"""Where things are in the checkout, and how to wait for a port."""

from __future__ import annotations

import socket
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
SITE = Path(__file__).resolve().parent / "site"
CACHE = ROOT / ".cache"


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether something listens on a port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for_port(port: int, still_alive: object, seconds: float = 60) -> bool:
    """Until a port answers; False if `still_alive()` became false or the time was up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers(port):
            return True
        if not still_alive():  # type: ignore[operator]
            return False
        time.sleep(0.05)
    return False
