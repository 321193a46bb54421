"""Writes the bundles that every later version must verify.

python -m tests.events.proof.make_bundles

By `export_log`, from a log that is made up on the way. Those that are there are never written
again: a new kind of bundle gets a new name.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402
from langchain_core.messages import AIMessage  # noqa: E402

from turnlog.events.models import Conversation  # noqa: E402
from turnlog.events.prompt import Prompt  # noqa: E402
from turnlog.events.proof.notes import SigningKey  # noqa: E402

BUNDLES = Path(__file__).parent / "bundles"
# Worth nothing: it has signed these and will never sign anything else.
KEY = SigningKey("bundles.example", bytes(range(100, 132)))


def make_log() -> dict[str, list[str]]:
    """A log; the options of each bundle of it."""
    users: Any = get_user_model()
    ada, bob = (users.objects.create_user(name) for name in ("ada", "bob"))
    rooms = [Conversation.objects.create(user=ada, title=f"방 {n}") for n in range(3)]
    shared = Conversation.objects.create(title="shared")
    for number, conversation in enumerate([*rooms, shared, *rooms]):
        user = bob if conversation is shared else ada
        turn = conversation.start_turn(
            f"{number} 얼마예요? \x00 \ud800",
            user=user,
            prompt=Prompt(model="gpt-4o", system_prompt="You are a language tutor.\u2028"),
        )
        conversation.record_turn(
            f"{number} 얼마예요? \x00 \ud800", AIMessage("32元"), user=user, turn_id=turn.turn_id
        )
    gone = shared.record_turn("my number is ...", AIMessage("noted"), user=ada)[0].turn_id
    assert gone is not None
    shared.record_turn("and mine ...", AIMessage("noted"), user=bob)
    rooms[0].fork(user=ada)
    shared.erase(turns=[gone], by=bob, reason="request 42")
    call_command("checkpoint_log")
    rooms[1].clear()
    return {
        "log": [],
        "conversation": ["--conversation", str(rooms[0].pk)],
        "conversations": [f"--conversation={room.pk}" for room in (rooms[1], shared)],
        "user": ["--user", "ada"],
        "since": ["--since", "2000-01-01T00:00:00Z"],
        "nothing": ["--until", "2000-01-01T00:00:00Z"],
    }


def main() -> int:
    os.environ["TURNLOG_SIGNING_KEY"] = KEY.secret()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, options in make_log().items():
                new = Path(folder) / f"{name}.jsonl"
                call_command("export_log", "--output", str(new), *options)
                keep(new, BUNDLES / new.name)
    finally:
        teardown_databases(databases, verbosity=0)
    return 0


def keep(new: Path, place: Path) -> None:
    """Put a bundle into its place, if that is free."""
    try:
        with place.open("xb") as file:
            file.write(new.read_bytes())
    except FileExistsError:
        sys.stdout.write(f"{place.name} is there and stays as it is\n")


if __name__ == "__main__":
    sys.exit(main())
