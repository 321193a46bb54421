"""The self-test: before any code of a model runs, the worker tries to get out of its box."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Callable
from typing import Any


def open_doors(setup: dict[str, Any]) -> list[str]:
    """Return the names of the attempts that succeeded; empty for a box that is closed."""
    return [name for name, attempt in _ATTEMPTS.items() if _succeeds(attempt, setup)]


def _succeeds(attempt: Callable[[dict[str, Any]], object], setup: dict[str, Any]) -> bool:
    try:
        return attempt(setup) is not False
    except OSError:
        return False


def _read(setup: dict[str, Any]) -> object:
    return any(_readable(path) for path in (*setup["forbidden"], "/proc/1/environ", "/etc/passwd"))


def _readable(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _list(setup: dict[str, Any]) -> object:
    return os.listdir(os.path.dirname(setup["forbidden"][0]))


def _write(setup: dict[str, Any]) -> object:
    path = os.path.join(os.path.dirname(setup["forbidden"][0]), f"turnlog-{os.getpid()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return True


def _touch(setup: dict[str, Any]) -> object:
    # To the mode that it has: an attempt that succeeds changes nothing.
    os.chmod(setup["stdlib"], stat.S_IMODE(os.stat(setup["stdlib"]).st_mode))
    return True


def _connect(setup: dict[str, Any]) -> object:
    return any(
        _makes_socket(family) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_NETLINK)
    )


def _makes_socket(family: int) -> bool:
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def _fork(setup: dict[str, Any]) -> object:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def _execute(setup: dict[str, Any]) -> object:
    try:
        os.execv("/nowhere/turnlog", ["turnlog"])
    except OSError as error:
        # Another answer than this one comes from the file system, so the call itself is allowed.
        return error.errno != errno.EPERM


def _signal(setup: dict[str, Any]) -> object:
    os.kill(os.getppid(), 0)
    return True


def _raise_limits(setup: dict[str, Any]) -> object:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    except ValueError:
        return False  # How Python says that it is not permitted.
    return True


def _be_root(setup: dict[str, Any]) -> object:
    return os.getuid() == 0


def _see_environment(setup: dict[str, Any]) -> object:
    return bool(set(os.environ) - set(setup["environment"]))


_ATTEMPTS = {
    "reading files": _read,
    "listing folders": _list,
    "writing files": _write,
    "changing files": _touch,
    "the network": _connect,
    "starting processes": _fork,
    "running programs": _execute,
    "signalling the server": _signal,
    "changing limits": _raise_limits,
    "being root": _be_root,
    "the environment": _see_environment,
}
