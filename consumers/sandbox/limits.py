"""What a worker may use, in the project's numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import conf

MOST_LETTERS = 20_000
MOST_ITEMS = 20_000
MOST_CHARTS = 8
LARGEST_CHART = 4 * 2**20
"""Bytes of a picture."""
MOST_PIXELS = 32_000_000
"""Pixels of an answer's pictures together: a small file may have very many."""


@dataclass(frozen=True)
class Limits:
    """What a worker may use. A runner should set the first four where it can."""

    memory: int
    """MiB of address space."""
    cpu: int
    """Seconds of computing, over the worker's life."""
    disk: int
    """MiB of files in the box."""
    threads: int
    rows: int
    """Rows of a table that come back."""
    answer: int
    """Bytes of a value that comes back, as JSON."""

    def bounds(self) -> dict[str, int]:
        """Return what bounds an answer, for the program in the box."""
        return {
            "printed": MOST_LETTERS,
            "items": MOST_ITEMS,
            "charts": MOST_CHARTS,
            "chart": LARGEST_CHART,
            "pixels": MOST_PIXELS,
            "rows": self.rows,
            "answer": self.answer,
        }


def limits() -> Limits:
    """Return the limits of `settings.TURNLOG`. Raises ConfigurationError."""
    settings = conf.get()
    return Limits(
        memory=settings.sandbox_memory,
        cpu=settings.sandbox_cpu,
        disk=settings.sandbox_disk,
        threads=settings.sandbox_threads,
        rows=settings.sandbox_rows,
        answer=settings.sandbox_answer,
    )
