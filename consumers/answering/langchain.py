"""Imports LangChain ahead of the first turn: it takes seconds."""

from __future__ import annotations

import asyncio
import gc
import threading

_imported = threading.Event()


def import_ahead() -> None:
    """Begin the import in a thread of its own, if nobody has begun it yet."""
    if not _imported.is_set():
        threading.Thread(target=_import, name="turnlog-import", daemon=True).start()


async def imported() -> None:
    """Wait until LangChain is imported, off the event loop."""
    # Not by sys.modules: a module is there as soon as its import has begun, and to import it then
    # waits for that.
    if not _imported.is_set():
        await asyncio.to_thread(_import)


def _import() -> None:
    import langchain_openai  # noqa: F401

    # What is imported stays. Without this, each full collection of garbage looks at all of it, and
    # everybody waits for a tenth of a second.
    gc.freeze()
    _imported.set()
