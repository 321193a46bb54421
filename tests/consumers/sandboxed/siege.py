"""python -m tests.consumers.sandboxed.siege TIER: attacks a worker; prints what got through.

A process of its own, so that it may be another user's. The output is JSON: the
names of the attacks that succeeded, with what they gave.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from unittest import mock

import django
from django.conf import settings

from .attacks import ATTACKS, HELPERS, NOT_IN_A_BARE_PROCESS

# What the environment of a server has, and what is in the folder that it was started in.
os.environ |= {"TURNLOG_SIGNING_KEY": "the password", "PYTHONSTARTUP": "/planted.py"}


def main(tier: str) -> None:
    django.setup()
    from turnlog.consumers.sandbox import standing, tiers
    from turnlog.consumers.sandbox.places import Places
    from turnlog.consumers.sandbox.seats import Call

    settings.TURNLOG = {"SANDBOX_SPARE": False}
    places = Places()
    ways = tiers.bubblewraps() if tier == tiers.FULL else [""]
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(standing, "_candidates", return_value=[(tier, way) for way in ways]),
    ):
        try:
            names = prepare(Path(folder), places, tier)
            for name, code in ATTACKS.items():
                if tier == tiers.BARE and name in NOT_IN_A_BARE_PROCESS:
                    continue
                outcome = places.run(
                    ("here", "me"), HELPERS + code.format(**names), None, 10.0, Call()
                )
                if outcome.value:
                    found[name] = repr(outcome.value)[:100]
                elif outcome.notice or outcome.error.startswith(("SyntaxError", "NameError")):
                    found[name] = f"{outcome.error[-300:]} {outcome.notice}"
        finally:
            places.end_all()
    sys.stdout.write(json.dumps(found))


def prepare(folder: Path, places: object, tier: str) -> dict[str, object]:
    """Make what the attacks are after, and return where it is."""
    os.chdir(folder)
    for name in ("secret", "removable"):
        (folder / name).write_text("the password")
        (folder / name).chmod(0o666)
    (folder / "matplotlibrc").write_text("lines.linewidth: 77\n")
    (folder / "planted.py").write_text("")
    (folder / "sitecustomize.py").write_text("")
    folder.chmod(0o777)
    listening = socket.create_server(("127.0.0.1", 0))
    with_path, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with_path.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    abstract.bind(f"\0turnlog-{os.getpid()}")
    for each in (with_path, abstract):
        each.listen()
    KEPT.extend([listening, with_path, abstract])
    return {
        "secret": folder / "secret",
        "folder": folder,
        "socket": folder / "socket",
        "port": listening.getsockname()[1],
        "server": os.getpid(),
        "source": Path(__file__).parents[3] / "core" / "conf.py",
        "settings": Path(__file__).parents[2] / "project" / "settings.py",
        # The other tiers leave nothing behind: nothing can be written there.
        "other": left_by_another(places) if tier == "full" else "/tmp/left",
    }


KEPT: list[socket.socket] = []


def left_by_another(places: object) -> str:
    from turnlog.consumers.sandbox.places import Places
    from turnlog.consumers.sandbox.seats import Call

    assert isinstance(places, Places)
    leave = "import os\nopen('left', 'w').write('mine')"
    places.run(("there", "you"), leave, None, 10.0, Call())
    outcome = places.run(("there", "you"), "os.path.abspath('left')", None, 10.0, Call())
    return str(outcome.value)


if __name__ == "__main__":
    main(sys.argv[1])
