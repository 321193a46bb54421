"""A request as a chat sees it."""

from __future__ import annotations

from typing import Any

from django.core.handlers.asgi import ASGIRequest

from ...core.asynchronous import in_database_thread


async def scope_of(request: ASGIRequest, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return what a consumer of Channels has as its scope, for a request that went through Django's
    middleware."""
    scope = {
        **request.scope,
        "cookies": request.COOKIES,
        "url_route": {"args": args, "kwargs": kwargs},
    }
    if hasattr(request, "session"):
        scope["session"] = request.session
    if hasattr(request, "user"):
        scope["user"] = await in_database_thread(_loaded)(request)
    return scope


def _loaded(request: Any) -> Any:
    """Return the request's user, who is loaded when they are first looked at."""
    _ = request.user.is_authenticated
    return request.user
