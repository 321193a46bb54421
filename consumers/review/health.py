"""Whether the log and its projections are well. What is not known is said to be unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _

from ...core.errors import TurnlogError
from ...events import verifications
from ...events.models import Event, SignedCheckpoint
from ...events.proof.keys import known_keys
from ...events.proof.verification import Verifier
from ...events.store.dialect import dialect_of
from ...events.tables.database import log_database
from ...events.types import LogVerified
from ...projections.engine.registry import registered
from ...projections.engine.status import Status, status

_MAX_LAG = 60.0
MOST = 50_000
"""Positions that a page verifies."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_log --record` found, and when."""

    at: Any
    result: LogVerified


@dataclass(frozen=True, slots=True)
class Health:
    """The log's last position and its size in bytes, the last signed checkpoint (None: never
    signed), the last verification (None: never recorded), and the projections' states."""

    position: int
    size: int
    last_event: Any
    checkpoint: SignedCheckpoint | None
    verification: Verification | None
    projections: Sequence[Status]

    @property
    def unsigned(self) -> int:
        """How many positions no signed checkpoint covers."""
        return self.position - (self.checkpoint.size if self.checkpoint else 0)

    @property
    def unverified(self) -> int:
        """How many positions came after the last verification."""
        return self.position - (self.verification.result.until if self.verification else 0)


def health_of() -> Health:
    """Return how the log is. The number of queries depends on the number of projections alone."""
    using = log_database()
    position = verifications.all_positions().until
    with connections[using].cursor() as cursor:
        size = dialect_of(connections[using]).size(cursor)
    return Health(
        position,
        size,
        Event.objects.using(using).order_by("-id").values_list("recorded_at", flat=True).first(),
        SignedCheckpoint.objects.using(using).order_by("-size", "-id").first(),
        _verification(),
        [status(each, max_lag=_MAX_LAG) for each in registered()],
    )


def _verification() -> Verification | None:
    last = verifications.last_verification()
    if last is None or not isinstance(last.data, LogVerified):
        return None
    return Verification(last.recorded_at, last.data)


class TooMuch(TurnlogError, ValueError):
    """More than a page verifies."""


def verify_lately() -> None:
    """Verify what came after the last signed checkpoint, all if there is none, and record it.

    Raises TooMuch if that is more than a page can wait for.
    """
    span = verifications.unsigned_positions()
    if (count := span.until - span.since) > MOST:
        raise TooMuch(
            _(
                "Expected at most %(most)d positions since the last checkpoint, found %(found)d:"
                " run verify_log."
            )
            % {"most": MOST, "found": count}
        )
    verifier = Verifier(known_keys([]))
    found = verifier.since_checkpoint() if span.since else verifier.whole()
    verifications.record(span, sum(1 for _problem in found))
