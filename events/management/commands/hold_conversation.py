from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...erasure import holds
from ...tables.conversation import require_conversation
from .erase_payload import user_named


class Command(TurnlogCommand):
    help = (
        "Place a conversation under a legal hold, so that nothing of it is erased, or lift the"
        " hold. Both are recorded in the log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("conversation", type=int, metavar="PK")
        parser.add_argument(
            "--reason", required=True, metavar="TEXT", help="stays in the log permanently"
        )
        parser.add_argument("--lift", action="store_true", help="end the hold")
        parser.add_argument("--by", metavar="NAME", help="the user whom the log names as the actor")

    def run(self, *, conversation: int, reason: str, lift: bool, **options: Any) -> None:
        by = None if options["by"] is None else user_named(options["by"], "--by")
        require_conversation(conversation)
        act = holds.lift if lift else holds.place
        event = act(conversation, by=by, reason=reason)
        facts = {"conversation": conversation, "held": not lift, "version": event.version}
        became = "is no longer under a legal hold" if lift else "is under a legal hold"
        self.report(
            options["json"],
            facts,
            f"conversation {conversation} {became} (version {event.version})",
        )
