"""Tools as LangChain knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def as_tools(tools: Sequence[Any]) -> list[BaseTool]:
    """Return LangChain tools: functions are converted, tools stay as they are."""
    from langchain_core.tools import BaseTool, tool

    return [item if isinstance(item, BaseTool) else tool(item) for item in tools]


def servers_of(tools: Sequence[BaseTool]) -> dict[str, Any]:
    """Return the parameter `tool_servers`: the servers that tools come from, if any say so.

    A tool says so by `metadata["server"]`, a dictionary with `name` and `version`, as an MCP server
    tells them.
    """
    found: list[dict[str, str]] = []
    for tool in tools:
        said = (tool.metadata or {}).get("server")
        if isinstance(said, Mapping):
            server = {name: str(said.get(name, ""))[:_LONGEST] for name in ("name", "version")}
            if server not in found:
                found.append(server)
    return {"tool_servers": found} if found else {}


_LONGEST = 200
