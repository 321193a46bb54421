"""python -m tests.consumers.sandboxed.server TIER: a server whose code runs; prints its workers."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import django
from django.conf import settings


def main(tier: str) -> None:
    django.setup()
    from turnlog.consumers.sandbox import tiers
    from turnlog.consumers.sandbox.places import Places
    from turnlog.consumers.sandbox.seats import Call

    settings.TURNLOG = {"SANDBOX_LIBRARIES": [], "SANDBOX_SPARE": False}
    if tier == tiers.REDUCED:
        mock.patch.object(tiers, "bubblewraps", return_value=[]).start()
    places = Places()
    deaf = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    places.run(("here", "ada"), "1", None, 10.0, Call())
    worker = places._seats["here", "ada"].worker
    assert worker is not None
    threading.Thread(
        target=places.run, args=(("here", "ada"), deaf, None, 600.0, Call()), daemon=True
    ).start()
    pids = map(str, below(worker._started.process))
    sys.stdout.write(" ".join(pids) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def below(process: subprocess.Popen[bytes]) -> list[int]:
    """A process and all that it has started."""
    found, last = [process.pid], process.pid
    while children := Path(f"/proc/{last}/task/{last}/children").read_text().split():
        last = int(children[0])
        found.append(last)
    return found


if __name__ == "__main__":
    main(sys.argv[1])
