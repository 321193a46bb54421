"""Gives back what a request holds while its answer goes on: a thread, and its connections.

Django has one thread for each request's sync code, and closes that thread's connections when the
answer has ended. A stream's answer may take days.
"""

from __future__ import annotations

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections


async def let_go() -> None:
    """End the thread of the current request, if it has one of its own. It gets another if it needs
    one again."""
    context: ThreadSensitiveContext | None = SyncToAsync.thread_sensitive_context.get(None)
    if context is None or context not in SyncToAsync.context_to_thread_executor:
        return
    if getattr(context, "_executor", None) is not None:
        return  # Somebody lent it to the request, and may have lent it to others.
    await sync_to_async(connections.close_all, thread_sensitive=True)()
    if thread := SyncToAsync.context_to_thread_executor.pop(context, None):
        thread.shutdown(wait=False)
