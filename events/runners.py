"""Which process answers a turn, and whether it still can.

If a turn is open and its runner is gone, the turn was interrupted. On the same machine, turnlog
sees this at once. For another machine, it goes by the heartbeat and the database's clock.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from ..core import conf
from ..core.errors import NotStored
from . import drafts, uploads
from .store.isolation import is_outermost
from .tables.database import log_database
from .tables.runner import Runner

_HEARTBEAT_SECONDS = 5.0
_FORGOTTEN_AFTER = dt.timedelta(days=7)


def beat() -> uuid.UUID:
    """Record that this process is alive, and return the id of its runner.

    Two threads may make the first call at once: one statement writes the row. Raises NotStored if
    the database does not keep it.
    """
    pid = os.getpid()
    runner_id = _runner_id(pid)
    using = log_database()
    runners = Runner.objects.using(using)
    if not is_outermost(connections[using]) and runners.filter(pk=runner_id).exists():
        return runner_id  # The row would be locked until the caller's transaction ends.
    if _here() not in _beaten:
        runners.filter(heartbeat__lt=Now() - _FORGOTTEN_AFTER).delete()
        drafts.drop_ended()
        uploads.drop_expired()
    runner = Runner(
        id=runner_id,
        host=platform.node(),
        boot=_boot(),
        pid=pid,
        started=_started(pid) or "",
        heartbeat=Now(),
    )
    runners.bulk_create(
        [runner], update_conflicts=True, unique_fields=["id"], update_fields=["heartbeat"]
    )
    just_now = Now() - dt.timedelta(seconds=_HEARTBEAT_SECONDS)
    if not runners.filter(pk=runner_id, heartbeat__gte=just_now).exists():
        # Others would take this process for one that is gone, and close its turns.
        raise NotStored("turnlog_runner", "expected this process's heartbeat, found none")
    if is_outermost(connections[using]):  # Otherwise it may be rolled back.
        _beaten[_here()] = time.monotonic()
    return runner_id


def heartbeat_seconds() -> float:
    """Return the seconds between two heartbeats: several fit into the time that others wait."""
    return min(_HEARTBEAT_SECONDS, conf.get().runner_timeout / 4)


def beating() -> uuid.UUID:
    """Return the id of this process's runner; beat if the last heartbeat is too old."""
    runner_id = _runner_id(os.getpid())
    beaten = _beaten.get(_here())
    if beaten is not None and time.monotonic() < beaten + heartbeat_seconds():
        return runner_id
    return beat()


_beaten: dict[tuple[uuid.UUID, str], float] = {}
"""When this process last beat, by its runner's id (a forked child has another one) and tenant."""


def _here() -> tuple[uuid.UUID, str]:
    return _runner_id(os.getpid()), conf.tenant()


def is_this_process(runner: str | None) -> bool:
    """Return whether a turn whose metadata name this runner is this process's."""
    return runner == str(_runner_id(os.getpid()))


def is_abandoned(runner: str | None) -> bool:
    """Return whether no process will finish a turn whose metadata name this runner."""
    return runner is None or is_gone(uuid.UUID(runner))


def is_gone(runner_id: uuid.UUID) -> bool:
    """Return whether the process that a turn names can no longer finish it."""
    if runner_id == _runner_id(os.getpid()):
        return False
    silence = dt.timedelta(seconds=conf.get().runner_timeout)
    silent = Q(heartbeat__lt=Now() - silence)
    runners = Runner.objects.using(log_database())  # A replica may not have it yet.
    runner: Any = runners.annotate(silent=silent).filter(pk=runner_id).first()
    if runner is None:
        return True
    if runner.host == platform.node() and runner.boot == _boot() and runner.started:
        return bool(_started(runner.pid) != runner.started)
    return bool(runner.silent)


@functools.cache
def _runner_id(pid: int) -> uuid.UUID:
    # By pid: a forked child and its parent are different runners.
    return uuid.uuid4()


@functools.cache
def _boot() -> str:
    """Return the machine's boot and the process namespace, within which a pid is one process.

    Empty if the system has no /proc: then only heartbeats count.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when a process started, in ticks since boot (proc(5), field 22): pids are reused."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command, field 2, is in parentheses and may contain anything. A zombie (state Z) has
    # been killed and only waits for its parent.
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]
