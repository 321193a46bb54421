"""Who may review what."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import Http404

from ...core import conf
from ...core.masking.masker import Masker, masker_for
from ...events.models import Actor, Conversation
from ...events.tables.conversation import NOBODY
from ...events.tables.database import log_database
from ...projections.models import Overview

PERMISSION = "turnlog_events.review_conversation"
MANAGE_QUEUES = "turnlog_events.manage_queues"
APPROVE = "turnlog_events.approve_tools"
RESOLVE = "turnlog_events.resolve_reviews"


def can_review(user: Any, conversation: Conversation) -> bool:
    """Return whether a user may review a conversation: it is theirs, or they may review all.

    TURNLOG["CAN_REVIEW"] replaces this.
    """
    return bool(conversation.user_id == user.pk or user.has_perm(PERMISSION))


def may_review(user: Any, conversation: Conversation) -> bool:
    """Return what the project says of it; nobody reviews without being logged in."""
    allowed = conf.function("CAN_REVIEW") or can_review
    return bool(user.is_authenticated and user.is_active and allowed(user, conversation))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A conversation that somebody may review, and whose part of it: `only` is an actor's id, None
    for everybody.

    `mask` masks what others have said; None: nothing is masked. `mine` is the reviewer's own
    pseudonym.
    """

    conversation: Conversation
    only: uuid.UUID | None = None
    mask: Masker | None = None
    mine: uuid.UUID | None = None

    def mask_for(self, actor_id: uuid.UUID | None) -> Masker | None:
        """Return what masks the turns of somebody: nobody's own words are masked for them."""
        return None if actor_id is not None and actor_id == self.mine else self.mask

    @property
    def title(self) -> str:
        """The conversation's title, masked, or its number."""
        return title_of(self.conversation, self.mask)


def title_of(conversation: Conversation, mask: Masker | None) -> str:
    """Return a conversation's title, or its number if it has none."""
    title = str(conversation)
    return title if mask is None else mask.text(title)


def reviewed_by(user: Any, pk: int, *, revealed: bool = False) -> Reviewed:
    """Return what a user may review of a conversation. Raises Http404 for every other one.

    Owners see their own turns, as in the chat: others may have been there before them. Whoever sees
    everybody's sees them masked, unless they were `revealed`.
    """
    # The same answer for both: a number tells nobody whether there is a conversation.
    found = None
    if pk < 2**63:
        conversations = Conversation.objects.using(log_database()).select_related("user")
        found = conversations.filter(pk=pk).first()
    if found is None or not may_review(user, found):
        raise Http404
    mine = Actor.objects.known(user) or NOBODY
    if not sees_everybody(user):
        return Reviewed(found, only=mine, mine=mine)
    return Reviewed(found, mask=None if revealed else masker_for(pk), mine=mine)


def title_in_list(user: Any, conversation: Conversation) -> str:
    """Return a conversation's title as a user sees it in the list: their own as it is."""
    own = conversation.user_id is not None and conversation.user_id == user.pk
    masked = sees_everybody(user) and not own
    return title_of(conversation, masker_for(conversation.pk) if masked else None)


def sees_everybody(user: Any) -> bool:
    """Return whether a user sees all turns of what they may review."""
    return bool(user.has_perm(PERMISSION) or conf.function("CAN_REVIEW"))


def is_reviewer(user: Any) -> bool:
    """Return whether a user writes and reads what reviewers write, and works on queues.

    TURNLOG["CAN_REVIEW"] lets people see conversations, owners too; that alone makes nobody a
    reviewer.
    """
    return bool(user.is_active and user.has_perm(PERMISSION))


def listed_for(user: Any) -> Any:
    """Return the overviews of the conversations that a user may find in the list.

    A CAN_REVIEW of the project's own is asked for each conversation that is shown, too.
    """
    rows = Overview.objects.using(log_database())
    return rows if sees_everybody(user) else rows.filter(conversation__user=user)


def may_resolve(user: Any) -> bool:
    """Return whether a user settles what reviewers of a queue disagree about."""
    return bool(user.is_active and user.has_perm(RESOLVE))


def may_approve(user: Any) -> bool:
    """Return whether a user decides about tool calls that wait, in everybody's conversations."""
    return bool(user.is_active and user.has_perm(APPROVE))


def may_manage_queues(user: Any) -> bool:
    """Return whether a user opens and fills queues."""
    return bool(user.is_active and user.has_perm(MANAGE_QUEUES))
