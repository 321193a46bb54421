from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter, get_default_application
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import NoReverseMatch, path, re_path, set_script_prefix

from turnlog.consumers import reverse_ws, routing
from turnlog.consumers.obstacles import obstacle
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


@pytest.fixture
def below_app() -> Iterator[None]:
    set_script_prefix("/app")
    yield
    set_script_prefix("/")


def test_the_path_begins_with_the_scripts_name_as_a_views_does(below_app: None) -> None:
    assert reverse_ws("chat", 3) == "/app/ws/chat/3/"
    assert reverse_ws("nested", room=5) == "/app/ws/rooms/5/"
    assert routing.has_route(reverse_ws("nested", room=5))


@pytest.mark.parametrize("path_", ["/ws/chat/3/", "/ws/old/7/", "/ws/plain/", "/ws/rooms/5/"])
def test_a_path_that_has_a_route_is_found(path_: str) -> None:
    assert routing.has_route(path_)


@pytest.mark.parametrize("path_", ["/ws/chat/x/", "/ws/", "/", "", "/ws/rooms/", "/ws/rooms/5/6/"])
def test_and_one_that_has_none_is_not(path_: str) -> None:
    assert not routing.has_route(path_)


def test_an_application_with_routes_of_its_own_kind_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = ProtocolTypeRouter({"websocket": consumer})
    monkeypatch.setattr(routing, "get_default_application", lambda: application)
    assert routing.has_route("/anything/")


@pytest.mark.parametrize("forced", [None, "/app", "/app/"])
@pytest.mark.parametrize("root_path", ["", "/app"])
@pytest.mark.parametrize("path_", ["/app/ws/chat/3/", "/ws/chat/3/"])
async def test_with_script_name_routes_match_with_the_name_and_without_it(
    forced: str | None, root_path: str, path_: str, settings: Any
) -> None:
    arrived = []

    async def arrive(scope: Any, receive: Any, send: Any) -> None:
        arrived.append(scope["url_route"]["kwargs"])

    settings.FORCE_SCRIPT_NAME = forced
    routes = URLRouter([path("ws/chat/<int:pk>/", arrive)])
    scope = {"type": "websocket", "path": path_, "root_path": root_path}
    named = routing.with_script_name(routes)
    if forced or root_path or path_ == "/ws/chat/3/":
        await named(scope, None, None)
        assert arrived == [{"pk": 3}]
    else:
        with pytest.raises(ValueError, match="No route"):
            await named(scope, None, None)


async def test_only_a_whole_part_of_the_path_is_the_scripts_name(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/ws"
    seen = []

    async def see(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    await routing.with_script_name(see)({"path": "/wspace/"}, None, None)
    assert seen == ["/ws/wspace/"]


def test_reverse_ws_finds_the_routes_below_a_script_name(monkeypatch: pytest.MonkeyPatch) -> None:
    application = ProtocolTypeRouter({"websocket": routing.with_script_name(WRAPPED)})
    monkeypatch.setattr(routing, "get_default_application", lambda: application)
    assert reverse_ws("chat", 3) == "/ws/chat/3/"


class TestWhatIsInTheWay:
    def test_a_page_over_wsgi(self, rf: Any) -> None:
        assert "came over WSGI" in obstacle(rf.get("/"), "/ws/chat/3/")

    def test_a_page_over_asgi_whose_socket_has_no_route(self, async_rf: Any) -> None:
        said = obstacle(async_rf.get("/"), "/ws/chat/x/")
        assert "No WebSocket route in ASGI_APPLICATION matches '/ws/chat/x/'" in said

    def test_nothing_that_this_process_could_know(self, async_rf: Any) -> None:
        for address in ("/ws/chat/3/", "wss://elsewhere.example/ws/nobody/knows/"):
            assert obstacle(async_rf.get("/"), address).startswith("The server's log says why")

    def test_a_page_without_an_address(self, async_rf: Any) -> None:
        assert "'ws_url'" in obstacle(async_rf.get("/"), None)

    def test_an_application_without_websockets(
        self, async_rf: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(routing, "get_default_application", lambda: ProtocolTypeRouter({}))
        assert "'websocket' entry" in obstacle(async_rf.get("/"), "/ws/chat/3/")

    def test_no_application(
        self, async_rf: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        monkeypatch.setattr(routing, "get_default_application", get_default_application)
        settings.ASGI_APPLICATION = "nowhere.asgi.application"
        assert "Cannot import ASGI_APPLICATION" in obstacle(async_rf.get("/"), "/ws/chat/3/")
        with pytest.raises(ConfigurationError, match="Cannot import ASGI_APPLICATION"):
            reverse_ws("chat", 3)
