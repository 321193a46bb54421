"""Who reads a stream: what they may see of a conversation now, and that they have seen it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest

from ..review.access import Reviewed
from ..review.recording import record_look
from ..review.revealing import revealed_until
from ..socket.access import stored_sessions


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever opened a stream, by a request that was answered when it began."""

    request: HttpRequest
    session_key: str | None

    def shown(self, user: Any, what: Reviewed) -> Reviewed:
        """Return what to show of a conversation, after it was recorded that it is.

        `user` is the reader as they are now. Raises whatever keeps it from being recorded: then
        nothing may be shown.
        """
        request: Any = copy.copy(self.request)
        request.user = user
        if self.session_key is not None:
            request.session = stored_sessions([self.session_key]).get(self.session_key, {})
        record_look(request, "read", "stream", [what.conversation])
        revealed = revealed_until(request, what.conversation.pk) is not None
        return replace(what, mask=None) if revealed else what
