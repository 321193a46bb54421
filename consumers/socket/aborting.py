"""Ends the connection of a client that does not read.

A server closes a connection once what it has written is read. A client that never reads would keep
that in memory for ever, and ASGI has no word for this.
"""

from __future__ import annotations

from typing import Any


def abort(receive: Any) -> None:
    """Drop a connection with what is still to be written, if its server lets us.

    `receive` is ASGI's; uvicorn's is a method of the connection itself.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    drop = getattr(transport, "abort", None)
    if callable(drop):
        drop()
