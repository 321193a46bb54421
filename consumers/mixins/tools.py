"""Tools as LangChain knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def as_tools(tools: Sequence[Any]) -> list[BaseTool]:
    """Return LangChain tools: functions are converted, tools stay as they are."""
    from langchain_core.tools import BaseTool, tool

    return [item if isinstance(item, BaseTool) else tool(item) for item in tools]
