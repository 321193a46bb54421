"""What a model can make a chat do in one turn, and how often a model is tried."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import conf


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one turn."""

    model_calls: int = 10
    tool_calls: int = 100
    concurrency: int = 8
    """Tool calls of one round that run at once."""
    tool_seconds: float | None = None
    tool_text: int = 100_000
    """Characters of a tool's output that the model reads."""
    tool_output: int = 20_000_000
    """Characters of a tool's output, as it is stored, that are kept."""
    answer_seconds: float = 600.0
    retries: int = 0
    """Further tries of a model call that failed before anything came of it."""


class LimitsMixin:
    """The bounds of a chat's turns. Where an attribute is None, the setting of its name counts."""

    max_model_calls: int | None = None
    """Calls of the model in one turn; a turn that needs more fails."""
    max_tool_calls: int | None = None
    """Tool calls in one turn; the model is told that further ones are not run."""
    max_concurrency: int = 8
    """Tool calls that run at once, if a model makes several in one round. 1: one after the
    other."""
    tool_timeout: float | None = 30
    """A tool call is given up after so many seconds; None: never."""
    max_tool_text: int | None = None
    """Characters of a tool's output that the model reads; it is told if there were more."""
    max_tool_output: int | None = None
    """Characters of a tool's output, as the log stores it, that are kept; larger ones are refused,
    and the model is told so."""
    answer_timeout: float | None = None
    """Seconds after which an answer that is not finished fails; what there is of it is kept."""
    retries: int = 0
    """How often a model call is tried again that failed for a passing reason (the model is busy,
    say), if nothing has come of it."""

    def get_limits(self) -> Limits:
        """Return the bounds of the next turn."""
        settings = conf.get()
        return Limits(
            model_calls=self.max_model_calls or settings.max_model_calls,
            tool_calls=settings.max_tool_calls
            if self.max_tool_calls is None
            else self.max_tool_calls,
            concurrency=max(1, self.max_concurrency),
            tool_seconds=self.tool_timeout,
            tool_text=self.max_tool_text or settings.max_tool_text,
            tool_output=self.max_tool_output or settings.max_tool_output,
            answer_seconds=self.answer_timeout or settings.answer_timeout,
            retries=self.retries,
        )
