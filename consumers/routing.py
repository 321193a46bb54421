"""WebSocket URLs: reversed, and below a path, which Django does for views only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter, get_default_application
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_script_prefix
from django.urls.resolvers import RegexPattern, RoutePattern

from ..core.errors import ConfigurationError


def reverse_ws(name: str, *args: Any, **kwargs: Any) -> str:
    """Return the path of a named WebSocket route, as `reverse()` does for a view.

    The route is looked up in the URLRouters of the project's ASGI_APPLICATION. The path begins with
    the script's name, as a view's does. Raises NoReverseMatch if no route fits, and
    ConfigurationError if there is no such application.
    """
    patterns = list(_url_patterns(_websocket_application()))
    resolver = URLResolver(RegexPattern(r"^/"), patterns)
    try:
        return get_script_prefix() + resolver.reverse(name, *args, **kwargs).removeprefix("/")
    except NoReverseMatch as error:
        names = sorted({p.name for p in patterns if isinstance(p, URLPattern) and p.name})
        raise NoReverseMatch(
            f"no WebSocket route named {name!r} takes {args or kwargs or 'no arguments'};"
            f" named routes are: {', '.join(names) or 'none'}"
        ) from error


def has_route(path: str) -> bool:
    """Return whether a WebSocket route matches a path that `reverse_ws()` could have returned.

    True as well if the application has no URLRouter: then it finds its routes in another way.
    Raises ConfigurationError as `reverse_ws()` does.
    """
    relative = path.removeprefix(get_script_prefix()).lstrip("/")
    return _leads_to_an_end(_websocket_application(), relative)


def _leads_to_an_end(application: Any, path: str) -> bool:
    router = _within(application, lambda app: isinstance(app, URLRouter))
    if router is None:
        return True
    matches = ((route, route.pattern.match(path)) for route in router.routes)
    return any(match and _leads_to_an_end(route.callback, match[0]) for route, match in matches)


def with_script_name(application: Any) -> Any:
    """Return an ASGI application that finds its routes below a path, as Django finds its views.

    The script's name is FORCE_SCRIPT_NAME, or else what the server says (`root_path`). Channels'
    URLRouter knows only the latter, and only if the path still begins with it. Put this around the
    URLRouter if a proxy removes the name, or if FORCE_SCRIPT_NAME is set and nobody removes it.
    """

    async def named(scope: Any, receive: Any, send: Any) -> None:
        name = (settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")).rstrip("/")
        path = scope["path"]
        if path == name or path.startswith(f"{name}/"):
            path = path[len(name) :]
        scope = {**scope, "root_path": name, "path": name + path}
        await application(scope, receive, send)

    named.application = application  # type: ignore[attr-defined]  # where reverse_ws() looks
    return named


def _websocket_application() -> Any:
    try:
        application = get_default_application()
    except ImproperlyConfigured as error:
        raise ConfigurationError(
            f"WebSocket routes are looked up in ASGI_APPLICATION, and it cannot be used: {error}"
        ) from error
    router = _within(application, lambda app: isinstance(app, ProtocolTypeRouter))
    websocket = router and router.application_mapping.get("websocket")
    if websocket is None:
        raise ConfigurationError(
            "WebSocket routes are looked up in ASGI_APPLICATION, and it is not a ProtocolTypeRouter"
            " with a 'websocket' entry"
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
