"""An MCP server over stdio, for tests. Run as a program."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

server = FastMCP("orders")
server._mcp_server.version = "1.2.3"


@server.tool()
def total(prices: list[int]) -> int:
    """The sum of some prices."""
    return sum(prices)


@server.tool()
def cancel(order: str) -> str:
    """Cancels an order."""
    raise ValueError(f"there is no order {order}")


if __name__ == "__main__":
    server.run()
