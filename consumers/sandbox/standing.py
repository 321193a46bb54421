"""Which tier this machine allows: found out by starting a worker, which tries to get out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings as django_settings

from ...core import conf
from ...core.errors import SandboxRefused
from . import tiers
from .limits import limits
from .pipe import Broken, Late
from .tiers import BARE, FULL, REDUCED, RUNNER, TIERS, Started
from .worker import START_SECONDS, Worker


@dataclass(frozen=True)
class Tier:
    """How workers are started in this process, and why not better."""

    name: str
    """`full`, `reduced`, `bare` or `runner`."""
    bubblewrap: str = ""
    """The path of the program that makes the box, in the tier `full`."""
    why: str = ""
    """What kept the better tiers from working; empty for the best."""


Start = Callable[[Callable[[], Started]], Started]
"""Calls a function that starts a process, in the thread with which the process may end."""


def first_worker(start: Start, *, probe: bool = False) -> tuple[Tier, Worker]:
    """Start a worker of the best tier that works here. Raises SandboxRefused.

    `probe` starts one that only tries to get out, and imports no libraries.
    """
    refused: list[str] = []
    for name, bubblewrap in _candidates():
        found = _try(name, bubblewrap, start, probe)
        if isinstance(found, Worker):
            return Tier(name, bubblewrap, "; ".join(refused)), found
        refused.append(f"{name}: {found}")
    raise SandboxRefused(
        f"expected a sandbox of the tier {least()!r} or better, found none that works here"
        f" ({'; '.join(refused)}); see turnlog's page about the sandbox"
    )


def another_worker(tier: Tier, start: Start) -> Worker:
    """Start one more worker of a tier that has worked. Raises SandboxRefused."""
    found = _try(tier.name, tier.bubblewrap, start, probe=False)
    if isinstance(found, Worker):
        return found
    raise SandboxRefused(f"expected a sandbox of the tier {tier.name!r}, but {found}")


def least() -> str:
    """Return the worst tier that the project accepts; a bare process only with DEBUG."""
    wanted = conf.get().sandbox_least
    return REDUCED if wanted == BARE and not django_settings.DEBUG else wanted


def _candidates() -> Iterator[tuple[str, str]]:
    if conf.get().sandbox_runner:
        yield RUNNER, ""
        return
    for name in TIERS[: TIERS.index(least()) + 1]:
        if sys.platform != "linux" and name != BARE:
            continue
        if name == FULL:
            yield from ((name, path) for path in tiers.bubblewraps())
        else:
            yield name, ""


def _try(name: str, bubblewrap: str, start: Start, probe: bool) -> Worker | str:
    """Return a worker, or what is wrong with it."""
    bounds = limits()
    packages = conf.get().sandbox_libraries
    try:
        started = start(lambda: tiers.start(name, bubblewrap, bounds, packages))
    except OSError as error:
        return f"it does not start: {error}"
    started.setup["probe"] = probe
    worker = Worker(started, bounds)
    try:
        doors = worker.prepare(time.monotonic() + START_SECONDS)
    except (Broken, Late) as error:
        said = worker.last_words() or str(error) or "it did not answer in time"
        worker.end()
        return said.splitlines()[-1]
    if doors:
        worker.end()
        return f"these ways out are open: {', '.join(doors)}"
    return worker
