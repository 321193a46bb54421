"""Whether code can run here, and how far away from the server: found out once in a process."""

from __future__ import annotations

import asyncio
import contextvars
import time
from weakref import WeakKeyDictionary

from django.utils.translation import gettext as _

from ...core.errors import SandboxRefused
from .. import sandbox

_CHECK = ("turnlog", "check")
_AGAIN_SECONDS = 60.0
_PAGE_SECONDS = 3.0
"""How long a page waits for this when it is opened."""

_trying: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[sandbox.Tier]]
_trying = WeakKeyDictionary()
_refused_at = -_AGAIN_SECONDS


async def require_sandbox() -> sandbox.Tier:
    """Return the tier of this process's workers. Raises SandboxRefused.

    The first time, this starts a worker, and it takes as long. After a refusal it is not tried
    again for a minute.
    """
    if (found := sandbox.tier()) is not None:
        return found
    return await asyncio.shield(_try())


async def notice() -> str:
    """Return a sentence for the page where the sandbox is not complete, or refused; empty for a
    complete one, and if it takes long to find out."""
    if (found := sandbox.tier()) is None:
        trying = _try()
        await asyncio.wait({trying}, timeout=_PAGE_SECONDS)
        if not trying.done():
            return ""
        if trying.cancelled() or trying.exception() is not None:
            return _("Python code cannot run here: tell the site's administrator.")
        found = trying.result()
    return {
        "reduced": _("Python code runs in a reduced sandbox here."),
        "bare": _("Python code runs without a sandbox here: only for development."),
    }.get(found.name, "")


def _try() -> asyncio.Task[sandbox.Tier]:
    """Return the task that starts this process's first worker: one for all who wait."""
    loop = asyncio.get_running_loop()
    task = _trying.get(loop)
    ended = task is not None and task.done()
    if task is None or (ended and time.monotonic() > _refused_at + _AGAIN_SECONDS):
        task = loop.create_task(_first(), context=contextvars.Context())
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        _trying[loop] = task
    return task


async def _first() -> sandbox.Tier:
    global _refused_at
    try:
        await sandbox.run(_CHECK, "", table=None, seconds=5)
    except SandboxRefused:
        _refused_at = time.monotonic()
        raise
    await sandbox.end(_CHECK)
    found = sandbox.tier()
    if found is None:
        raise SandboxRefused("the sandbox was started, and its tier is not known")
    return found
