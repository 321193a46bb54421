from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import FloatField, Max, Q, Sum
from django.db.models.functions import Cast, Coalesce, NullIf
from django.utils.translation import gettext_lazy as _

from ...core.fields import LineField
from ...events.models import Conversation

NOBODY = uuid.UUID(int=0)
"""The actor of guests' turns, instead of null: in a unique constraint two nulls never are equal."""

SUMMED = (
    "turns",
    "failures",
    "failed",
    "cancelled",
    "interrupted",
    "unrecorded",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "tool_calls",
    "tool_errors",
)


def _seconds(microseconds: Any) -> Any:
    return Cast(microseconds, FloatField()) / 1e6


def _sums() -> dict[str, Any]:
    return {
        **{name: Coalesce(Sum(name), 0) for name in SUMMED},
        "seconds": Coalesce(_seconds(Sum("latency_us")), 0.0),
        "max_seconds": _seconds(Max("latency_max_us", filter=Q(timed__gt=0))),
        "mean_seconds": _seconds(Sum("latency_us")) / NullIf(Sum("timed"), 0),
    }


class UsageQuerySet(models.QuerySet["Usage"]):
    def totals(self) -> dict[str, Any]:
        """Return the sums over all rows, by name.

        `seconds`, `max_seconds` and `mean_seconds` are the time that completed turns took from
        beginning to end; the last two are None if it is known for no turn.
        """
        return self.aggregate(**_sums())

    def by(self, *names: str) -> Any:
        """Return the same sums, one dictionary for each combination of values of these fields."""
        return self.order_by(*names).values(*names).annotate(**_sums())

    def by_user(self) -> Any:
        """Return sums by `user`, its primary key; None for guests and deleted users together."""
        return self.by("user")

    def by_model(self) -> Any:
        """Return sums by `model`."""
        return self.by("model")

    def by_day(self) -> Any:
        """Return sums by `day`, in order; days without turns are left out."""
        return self.by("day")


class Usage(models.Model):
    """The usage of turns: sums by conversation, actor, model and day. A projection of the log.

    `day` is in UTC. `failures` counts all turns that ended without an answer; if the outcome is
    known, the turn also counts under it. `timed` is the number of completed turns whose beginning
    is known. `latency_us` is their total time and `latency_max_us` the longest, in microseconds.
    """

    conversation_id: int
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="usage",
        db_index=False,  # The unique constraint begins with it.
    )
    actor_id = models.UUIDField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    model = LineField(_("model"), max_length=200)
    day = models.DateField(_("day"), db_index=True)

    turns = models.BigIntegerField(_("turns"), default=0)
    failures = models.BigIntegerField(_("failures"), default=0)
    failed = models.BigIntegerField(_("failed"), default=0)
    cancelled = models.BigIntegerField(_("cancelled"), default=0)
    interrupted = models.BigIntegerField(_("interrupted"), default=0)
    unrecorded = models.BigIntegerField(_("unrecorded"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    total_tokens = models.BigIntegerField(_("tokens"), default=0)
    tool_calls = models.BigIntegerField(_("tool calls"), default=0)
    tool_errors = models.BigIntegerField(_("tool errors"), default=0)
    # Whole numbers: sums of floats depend on the order in which they are added up.
    timed = models.BigIntegerField(default=0)
    latency_us = models.BigIntegerField(default=0)
    latency_max_us = models.BigIntegerField(default=0)

    objects = UsageQuerySet.as_manager()

    class Meta:
        db_table = "turnlog_usage"
        ordering = ("-day", "conversation", "actor_id", "model")
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        constraints = (
            models.UniqueConstraint(
                fields=("conversation", "actor_id", "model", "day"), name="turnlog_usage_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id} {self.day} {self.model}".rstrip()

    @property
    def mean_seconds(self) -> float | None:
        """The average time that a completed turn took; None if it is known for no turn."""
        return self.latency_us / self.timed / 1e6 if self.timed else None
