"""Writes what a command found, to a reader that may be gone."""

from __future__ import annotations

import os
from typing import Any


def tell(out: Any, text: str) -> bool:
    """Write a line now, and return whether its reader is still there.

    A reader that has seen enough (`| head -1`) is no error: the exit code says what was found.
    Raises OSError if the line cannot be written for another reason.
    """
    try:
        out.write(text if text.endswith("\n") else f"{text}\n")
        out.flush()
        return True
    except OSError as error:
        # Otherwise Python would fail once more, as it writes what is left at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if not isinstance(error, BrokenPipeError):
            raise
        return False
