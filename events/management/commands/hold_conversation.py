from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...erasure import holds
from ...models import Conversation
from ...tables.conversation import require_conversation
from .erase_payload import user_named


class Command(TurnlogCommand):
    help = "Let nothing of a conversation be erased, or with --lift end that; a fact in the log."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("conversation", type=int, metavar="PK")
        parser.add_argument("--reason", required=True, metavar="TEXT", help="for the log, for ever")
        parser.add_argument("--lift", action="store_true", help="end the hold")
        parser.add_argument("--by", metavar="NAME", help="the user who does it, for the log")

    def run(self, *, conversation: int, reason: str, lift: bool, **options: Any) -> None:
        by = None if options["by"] is None else user_named(options["by"], "--by")
        require_conversation(conversation)
        act = holds.lift if lift else holds.place
        event = act(Conversation(pk=conversation), by=by, reason=reason)
        facts = {"conversation": conversation, "held": not lift, "version": event.version}
        became = "is under no legal hold any more" if lift else "is under a legal hold"
        self.report(
            options["json"],
            facts,
            f"conversation {conversation} {became} (version {event.version})",
        )
