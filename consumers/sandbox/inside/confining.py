"""Takes from this process, for good, what the code must not have. Each function is one layer.

The order matters: the user first, since it needs rights that the others take; the files before any
library is imported, since Landlock holds for a thread and those that it starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Sequence
from typing import Any

MIB = 2**20
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
_CAP_DAC_READ_SEARCH = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
"""Of linux/capability.h."""
NOBODY = 65534


class Unconfined(Exception):
    """A layer that could not be put on."""


def confine(setup: dict[str, Any]) -> None:
    """Put on the layers that the server asks for. Raises Unconfined."""
    layers = {"user": _user, "limits": _limits, "files": _files, "calls": _calls}
    for name in setup["layers"]:
        try:
            layers[name](setup)
        except (OSError, ImportError, ValueError) as error:
            raise Unconfined(f"{name}: {type(error).__name__}: {error}") from error


def _user(setup: dict[str, Any]) -> None:
    """Become a user of this worker's own, if this is root; end with the server in any case."""
    parent = os.getppid()
    if os.getuid() == 0:
        _become(setup["uid"], reading=setup["stdlib"])
    _prctl(PR_SET_DUMPABLE, 0)
    # After the change of user, which resets it. It comes too late if the server is gone already.
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the server has ended")


def _become(uid: int, reading: str) -> None:
    os.setgroups([])
    _prctl(PR_SET_KEEPCAPS, 1)
    try:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError:
        # A container that has only some users.
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    reachable = os.access(reading, os.R_OK | os.X_OK)
    # If it is not, the interpreter is below a folder such as /root, which only root may pass.
    # Landlock says which files may be read, whatever this capability allows.
    _keep_capabilities(0 if reachable else _CAP_DAC_READ_SEARCH)


def _keep_capabilities(which: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable: the lower 32 capabilities, then the upper ones.
    data = (ctypes.c_uint32 * 6)(which, which, 0, 0, 0, 0)
    if _libc().capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _limits(setup: dict[str, Any]) -> None:
    """Bound memory, computing time, files and threads; the code cannot raise them again."""
    disk = setup["disk"] * MIB
    for what, most in (
        (resource.RLIMIT_AS, setup["memory"] * MIB),
        (resource.RLIMIT_CPU, setup["cpu"]),
        (resource.RLIMIT_FSIZE, disk),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
    # In a user's own count only: another's holds what all of the server's processes have.
    if setup["counted"]:
        resource.setrlimit(resource.RLIMIT_NPROC, (setup["threads"], setup["threads"]))
    os.nice(5)


def _files(setup: dict[str, Any]) -> None:
    """Leave the paths that the server lists, and no other file, by Landlock (Linux 5.13)."""
    import landlockpy as landlock  # lazy: of the box's own libraries

    access = landlock.AccessFS
    reading = access.READ_FILE | access.READ_DIR
    working = reading | access.WRITE_FILE | access.TRUNCATE
    working |= access.MAKE_REG | access.MAKE_DIR | access.REMOVE_FILE | access.REMOVE_DIR
    scoped = landlock.Scope.ABSTRACT_UNIX_SOCKET | landlock.Scope.SIGNAL
    with landlock.Ruleset(scoped=scoped) as rules:
        _allow(rules, setup["readable"], reading, access.READ_FILE)
        _allow(rules, setup["listable"], access.READ_DIR, access.NONE)
        _allow(rules, setup["writable"], working, access.NONE)
        rules.restrict()


def _allow(rules: Any, paths: Sequence[str], of_folder: Any, of_file: Any) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            rules.allow_path(path, of_folder if os.path.isdir(path) else of_file)


def _calls(setup: dict[str, Any]) -> None:
    """Leave the system calls that computing needs."""
    from . import system_calls  # lazy: needs seccompy, which a runner's image may not have

    system_calls.forbid(may_write=bool(setup["writable"]))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
