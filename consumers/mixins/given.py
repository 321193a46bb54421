"""What the next turn's model is given of what was said before, and how the log says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import F, TextField
from django.db.models.expressions import ExpressionWrapper

from ...core.asynchronous import in_database_thread
from ...events.listed import Listed
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from ...projections.messages.previous import HistoryRule, Previous
from ...projections.models import ConversationMessage
from ...projections.travel.prompts import described


class Given(NamedTuple):
    """The messages before the human's, `TurnStarted.previous` of them, and the stream's version at
    which they were read."""

    messages: Sequence[Any]
    previous: dict[str, Any]
    read_at: int


@dataclass(frozen=True, slots=True)
class Read:
    """A user's entries of the message list at a version, and what a rule makes of them."""

    version: int
    entries: Sequence[Listed]
    ruled: Previous

    def given(self, messages: Sequence[Any]) -> Given:
        """What an overridden method has made of it.

        Compared, not taken at its word: messages can be changed in place. Raises CodecError for
        messages that cannot be stored.
        """
        return Given(messages, described(messages, self.ruled, self.entries), self.version)


@in_database_thread
def read_at_head(conversation: Conversation, user: Any, rule: HistoryRule) -> Read:
    """What there is now, for a chat that makes messages of its own from it."""
    events = Event.objects.using(log_database()).filter(stream_id=conversation.pk)
    # First: what is appended after this may or may not be among the messages, and the turn's
    # start will notice.
    version = events.order_by("-version").values_list("version", flat=True).first() or 0
    entries = listed_entries(conversation, user)
    return Read(version, entries, rule.of_entries(entries))


def listed_entries(conversation: Conversation, user: Any) -> list[Listed]:
    """What `get_histories` reads, with the stored text instead of what it stands for."""
    here = ConversationMessage.objects.using(log_database())
    mine = here.filter(conversation=conversation, event__payload__isnull=False).of(user)
    text = ExpressionWrapper(F("event__payload"), output_field=TextField())
    rows = mine.order_by("version").values_list(
        "version", "turn_id", "actor_id", text, "created_at"
    )
    return [Listed(*row) for row in rows]
