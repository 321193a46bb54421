"""Nothing of what `sandboxed/attacks.py` tries gets out of a box; in a bare process, it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from turnlog.consumers.sandbox import tiers

from .sandboxed.attacks import ATTACKS, NOT_IN_A_BARE_PROCESS
from .sandboxed.users import ROOT, Unavailable, as_an_ordinary_user, as_root

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.slow_once

USERS = {"root": as_root, "an ordinary user": as_an_ordinary_user}


def besieged(tier: str, user: str) -> dict[str, str]:
    """Return the attacks that succeeded."""
    try:
        before = USERS[user]()
    except Unavailable as error:
        pytest.skip(str(error))
    if tier == tiers.FULL and not any(makes_a_box(before, path) for path in tiers.bubblewraps()):
        pytest.skip(f"{user} cannot make a box here")
    ended = subprocess.run(
        [*before, sys.executable, "-m", "tests.consumers.sandboxed.siege", tier],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        # The folder of whoever runs the tests may be closed to others.
        env={**os.environ, "TURNLOG_TEST_NAME": "", "HOME": "/", "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def makes_a_box(before: list[str], bubblewrap: str) -> bool:
    box = [bubblewrap, "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"]
    return subprocess.run([*before, *box], capture_output=True, cwd=Path("/")).returncode == 0


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("tier", [tiers.FULL, tiers.REDUCED])
def test_no_attack_gets_out(tier: str, user: str) -> None:
    assert besieged(tier, user) == {}


def test_the_attacks_are_attacks() -> None:
    """In a process without a box, they get what they come for, where the machine lets anybody."""
    assert set(ATTACKS) - set(besieged(tiers.BARE, "root")) == NOT_IN_A_BARE_PROCESS
