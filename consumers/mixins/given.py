"""Reads the previous messages for the next turn's model, and describes them for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from django.db.models import F, TextField
from django.db.models.expressions import ExpressionWrapper

from ...core.asynchronous import in_database_thread
from ...events.listed import Listed
from ...events.models import Conversation, Event
from ...events.summaries import latest
from ...events.tables.database import log_database
from ...projections.messages.previous import HistoryRule, Previous
from ...projections.models import ConversationMessage
from ...projections.travel.prompts import described


class Given(NamedTuple):
    """The messages before the human's, their description for `TurnStarted.previous`, and the
    stream's version at which they were read."""

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
        """Describe the messages that an overridden method returned.

        They are compared with the entries, because messages can be changed in place. Raises
        CodecError if a message cannot be stored.
        """
        return Given(messages, described(messages, self.ruled, self.entries), self.version)


def ruled(
    conversation: Conversation, user: Any, rule: HistoryRule, *, summarised: bool = False
) -> Previous:
    """Return what a rule makes of a user's entries; if `summarised`, of those that no summary
    covers, after the summary."""
    summary = latest(conversation.pk, user) if summarised else None
    if summary is not None:
        # A turn that is being answered again is not among what came before it.
        before = ConversationMessage.objects.previous(conversation)
        summary = summary if before.filter(version=summary.until).exists() else None
    if summary is None:
        return rule.of_newest(partial(listed_entries, conversation, user))
    newest = partial(listed_entries, conversation, user, after=summary.until)
    return rule.of_newest(newest).after(summary)


@in_database_thread
def read_at_head(
    conversation: Conversation, user: Any, rule: HistoryRule, *, summarised: bool = False
) -> Read:
    """Read a user's entries as they are now, for a chat that makes its own messages."""
    events = Event.objects.using(log_database()).filter(stream_id=conversation.pk)
    # Read the version first: a later event may or may not be among the messages, and the turn's
    # start notices it.
    version = events.order_by("-version").values_list("version", flat=True).first() or 0
    entries = listed_entries(conversation, user)
    given = (
        ruled(conversation, user, rule, summarised=True) if summarised else rule.of_entries(entries)
    )
    return Read(version, entries, given)


def listed_entries(
    conversation: Conversation, user: Any, newest: int | None = None, *, after: int = 0
) -> list[Listed]:
    """Return the entries that `get_histories` reads, with their stored text; or the newest ones,
    or those after a version."""
    here = ConversationMessage.objects.previous(conversation)
    mine = here.filter(event__payload__isnull=False).of(user)
    mine = mine.filter(version__gt=after) if after else mine
    text = ExpressionWrapper(F("event__payload"), output_field=TextField())
    rows = mine.order_by("-version").values_list(
        "version", "turn_id", "actor_id", text, "created_at"
    )
    return [Listed(*row) for row in reversed(rows[:newest])]
