"""Who may follow a channel: whoever may review the conversation, as it is now."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from ...core import conf
from ..review.access import Reviewed, reviewed_by
from ..socket.access import users
from .channels import Channel


def may_follow(user: Any, channel: Channel) -> bool:
    """Return whether a user may read a channel, asked of the database."""
    current = fresh(user)
    return current is not None and own_channel(current, channel) == channel


def own_channel(user: Any, asked: Channel) -> Channel | None:
    """Return what a user gets who asks for a channel: all of it, or their part; None if nothing.

    There is one answer whether there is such a conversation or not.
    """
    if asked.stream_id is None:
        mine = asked.tenant == conf.tenant() and user.is_authenticated and user.is_active
        return Channel(None, asked.tenant) if mine else None
    what = reviewed(user, asked)
    return None if what is None else Channel(asked.stream_id, asked.tenant, what.only)


def reviewed(user: Any, channel: Channel) -> Reviewed | None:
    """Return what a user may review of a channel's conversation; None if nothing."""
    if channel.stream_id is None or channel.tenant != conf.tenant():
        return None
    try:
        return reviewed_by(user, channel.stream_id)
    except Http404:
        return None


def fresh(user: Any) -> Any:
    """Return a user as the database has them, without what was remembered of their permissions;
    None for guests, and for users who are gone."""
    if user is None or not user.is_authenticated:
        return None
    return users().filter(pk=user.pk).first()
