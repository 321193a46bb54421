"""Makes another branch of a person's turns the current one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from ..core.errors import TurnInProgress
from . import arguments
from .log import NewEvent, append_decided
from .places import chosen_again
from .standing import Standing
from .tables.event import Event
from .turns import close_abandoned
from .types import BranchChosen


def choose(stream_id: int, turn_id: uuid.UUID, *, user: Any = None) -> Event | None:
    """Make a turn current that was replaced, with those that came after it when it last was.

    It must be the user's own, and an alternative to a turn of their current branch. Returns the
    `BranchChosen`, or None if the turn is current already. Raises ArgumentError, UnknownTurn,
    TurnInProgress while a turn is open; BranchRefused if the turn is another person's, cleared,
    erased, or in another branch.
    """
    arguments.require_turn_id(turn_id, optional=False)
    arguments.require_user(user)
    close_abandoned(stream_id)

    def gather(standing: Standing) -> BranchChosen | None:
        return chosen_again(stream_id, turn_id, user)

    def decide(standing: Standing, data: BranchChosen | None) -> Sequence[NewEvent]:
        if data is None:
            return ()
        if standing.opened is not None:
            raise TurnInProgress(stream_id, standing.opened.turn_id)
        return [NewEvent(data, user=user)]

    events = append_decided(stream_id, decide, gather)
    return events[-1] if events else None
