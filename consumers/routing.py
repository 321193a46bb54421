"""Reverse WebSocket URLs, which Django does for views only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter, get_default_application
from django.urls import NoReverseMatch, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern, RoutePattern

from ..core.errors import ConfigurationError


def reverse_ws(name: str, *args: Any, **kwargs: Any) -> str:
    """Return the path of a named WebSocket route, as `reverse()` does for a view.

    The route is looked up in the URLRouters of the project's ASGI_APPLICATION. Raises
    NoReverseMatch if no route fits.
    """
    patterns = list(_url_patterns(_websocket_application()))
    resolver = URLResolver(RegexPattern(r"^/"), patterns)
    try:
        return "/" + resolver.reverse(name, *args, **kwargs).removeprefix("/")
    except NoReverseMatch as error:
        names = sorted({p.name for p in patterns if isinstance(p, URLPattern) and p.name})
        raise NoReverseMatch(
            f"no WebSocket route named {name!r} takes {args or kwargs or 'no arguments'};"
            f" named routes are: {', '.join(names) or 'none'}"
        ) from error


def _websocket_application() -> Any:
    application = get_default_application()
    router = _within(application, lambda app: isinstance(app, ProtocolTypeRouter))
    websocket = router and router.application_mapping.get("websocket")
    if websocket is None:
        raise ConfigurationError(
            "reverse_ws() needs a ProtocolTypeRouter with a 'websocket' entry as ASGI_APPLICATION"
        )
    return websocket


def _url_patterns(application: Any) -> Iterable[URLPattern]:
    router = _within(application, lambda app: isinstance(app, URLRouter))
    for route in router.routes if router else ():
        nested = _within(route.callback, lambda app: isinstance(app, URLRouter))
        if nested is None:
            yield route
            continue
        for inner in _url_patterns(nested):
            pattern = RoutePattern(f"{route.pattern}{inner.pattern}", name=inner.name)
            yield URLPattern(pattern, inner.callback, inner.default_args, inner.name)


def _within(application: Any, wanted: Callable[[Any], bool]) -> Any:
    """Return the first application of a kind inside middleware, by the attributes these use."""
    seen: set[int] = set()
    while application is not None and id(application) not in seen:
        if wanted(application):
            return application
        seen.add(id(application))
        application = getattr(application, "inner", None) or getattr(
            application, "application", None
        )
    return None
