from __future__ import annotations

from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import NoReverseMatch, path, re_path

from turnlog.consumers import reverse_ws, routing
from turnlog.core.errors import ConfigurationError


async def consumer(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


INNER = URLRouter([path("<int:room>/", consumer, name="nested")])
URLS = URLRouter(
    [
        path("ws/chat/<int:conversation_pk>/", consumer, name="chat"),
        re_path(r"^ws/old/(?P<pk>\d+)/$", consumer, name="old"),
        path("ws/plain/", consumer),
        path("ws/rooms/", INNER),
    ]
)
WRAPPED = AllowedHostsOriginValidator(AuthMiddlewareStack(URLS))


@pytest.fixture(autouse=True)
def _application(monkeypatch: pytest.MonkeyPatch) -> None:
    application = ProtocolTypeRouter({"websocket": WRAPPED})
    monkeypatch.setattr(routing, "get_default_application", lambda: application)


def test_a_websocket_url_is_reversed_like_a_views() -> None:
    assert reverse_ws("chat", conversation_pk=3) == "/ws/chat/3/"
    assert reverse_ws("chat", 3) == "/ws/chat/3/"
    assert reverse_ws("old", pk=7) == "/ws/old/7/"
    assert reverse_ws("nested", room=5) == "/ws/rooms/5/"


@pytest.mark.parametrize(("name", "kwargs"), [("nobody", {}), ("chat", {}), ("chat", {"pk": 1})])
def test_what_does_not_match_says_which_names_there_are(name: str, kwargs: Any) -> None:
    with pytest.raises(NoReverseMatch, match="named routes are: chat, nested, old"):
        reverse_ws(name, **kwargs)


def test_a_project_without_websockets_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "get_default_application", lambda: ProtocolTypeRouter({}))
    with pytest.raises(ConfigurationError, match="'websocket' entry"):
        reverse_ws("chat")
