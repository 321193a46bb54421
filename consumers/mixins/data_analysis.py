from __future__ import annotations

from typing import Any

from ...core.errors import ConfigurationError


class DataAnalysisMixin:
    """Not available yet: whoever uses it is told so, in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ConfigurationError(
            f"{type(self).__name__}: the data analyst chat is not available in this version of"
            " turnlog yet; use AgentChatConsumer with tools of your own"
        )
