"""A Redis of the tests' own, for Channels' channel layer: it keeps nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .places import free_port, wait_for_port

PROGRAM = "redis-server"


def missing() -> str:
    """What there is not, empty if all is there."""
    if shutil.which(PROGRAM) is None:
        return f"no {PROGRAM} on PATH"
    if importlib.util.find_spec("channels_redis") is None:
        return "channels_redis is not installed"
    return ""


class Redis:
    """A Redis that keeps its port when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @property
    def environment(self) -> dict[str, str]:
        """By which the tutorial's project is joined through it."""
        return {"DJANGO_SETTINGS_MODULE": "joined_settings", "CHANNELS_URL": self.url}

    def start(self) -> Redis:
        log = self._folder / f"redis-{self.port}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(PROGRAM, "--bind", "127.0.0.1", "--port", str(self.port)),
                    *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._process = process
        if not wait_for_port(self.port, lambda: process.poll() is None, seconds=20):
            self.kill()
            raise RuntimeError(f"Redis did not start:\n{log.read_text()}")
        return self

    def kill(self) -> None:
        """As if its machine had lost its power."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait(30)


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    """Redis on a free port; gone afterwards."""
    redis = Redis(folder)
    try:
        yield redis.start()
    finally:
        redis.kill()
