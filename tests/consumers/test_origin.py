"""Which pages may open a socket: those of the address that it is opened at, and listed ones."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from hypothesis import given
from hypothesis import strategies as st

from turnlog.consumers.socket.origin import refused_origin


def scope(*origins: str, host: str = "localhost:8000", scheme: str = "ws", **more: Any) -> Any:
    headers = [(b"host", host.encode())] if host else []
    headers += [(b"origin", origin.encode()) for origin in origins]
    headers += [(name, value) for name, value in more.pop("headers", [])]
    return {"type": "websocket", "path": "/ws/", "scheme": scheme, "headers": headers, **more}


@pytest.mark.parametrize(
    ("host", "scheme", "origin"),
    [
        ("localhost:8000", "ws", "http://localhost:8000"),
        ("localhost:8000", "ws", "HTTP://LocalHost:8000"),
        ("localhost", "ws", "http://localhost:80"),
        ("localhost:80", "ws", "http://localhost"),
        ("testserver", "wss", "https://testserver"),
        ("testserver:443", "wss", "https://testserver"),
        ("testserver.", "wss", "https://testserver"),
    ],
)
def test_the_sites_own_page_may(host: str, scheme: str, origin: str) -> None:
    assert refused_origin(scope(origin, host=host, scheme=scheme)) == ""


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:8001", "http://localhost", "https://localhost:8000"),
        *("http://127.0.0.1:8000", "http://testserver", "http://sub.localhost:8000"),
        *(
            "http://evil.example",
            "http://localhost:8000.evil.example",
            "http://evil@localhost:8000",
        ),
        *("null", "", "file://", "http://localhost:8000/", "http://localhost:8000 http://evil"),
    ],
)
def test_a_page_of_another_port_scheme_or_host_may_not(origin: str) -> None:
    assert refused_origin(scope(origin))


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["localhost", "127.0.0.1", "testserver"]),
    st.one_of(st.none(), st.integers(1, 65_535)),
)
def test_only_the_whole_origin_is_enough(scheme: str, host: str, port: int | None) -> None:
    origin = f"{scheme}://{host}" + (f":{port}" if port else "")
    same = (scheme, host, port) in [("https", "testserver", None), ("https", "testserver", 443)]
    assert (refused_origin(scope(origin, host="testserver", scheme="wss")) == "") == same


def test_several_origins_may_not() -> None:
    assert refused_origin(scope("http://localhost:8000", "http://localhost:8000"))


def test_a_client_without_an_origin_is_no_browser() -> None:
    assert refused_origin(scope()) == ""
    assert refused_origin(scope(host="")) == ""


@pytest.mark.parametrize("host", ["evil.example:8000", "", "localhost:8000,localhost:8000"])
def test_the_address_itself_must_be_one_of_the_sites(host: str, settings: Any) -> None:
    # A name that an attacker points at this machine: page and socket have the same origin.
    settings.TURNLOG = {"ALLOWED_ORIGINS": ["http://evil.example:8000"]}
    reason = refused_origin(scope("http://evil.example:8000", host=host))
    assert "the address that it asked for cannot be used" in reason


def test_the_refusal_says_what_to_set() -> None:
    reason = refused_origin(scope("https://chat.example\r\nforged"))
    assert "\n" not in reason
    reason = refused_origin(scope("https://localhost"))
    assert "from 'https://localhost'" in reason
    assert "came to 'http://localhost:8000'" in reason
    assert "SECURE_PROXY_SSL_HEADER" in reason
    assert "TURNLOG['ALLOWED_ORIGINS']" in reason


def test_listed_origins_may(settings: Any) -> None:
    settings.TURNLOG = {
        "ALLOWED_ORIGINS": ["https://Friend.example:8443", "https://*.team.example"]
    }
    for origin in ("https://friend.example:8443", "https://a.team.example", "https://team.example"):
        assert refused_origin(scope(origin)) == ""
    for origin in ("https://friend.example", "http://a.team.example", "https://ateam.example"):
        assert refused_origin(scope(origin))


def test_behind_a_proxy_the_address_is_what_django_is_told(settings: Any) -> None:
    page = "https://testserver"
    forwarded = [
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"testserver"),
    ]
    asked = scope(page, host="127.0.0.1:8000", headers=forwarded)
    assert refused_origin(asked)
    settings.USE_X_FORWARDED_HOST = True
    assert refused_origin(asked)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert refused_origin(asked) == ""


class TestAProgramOnThisMachine:
    """Its `Origin: http://localhost` is another site's than 127.0.0.1, so browsers do not do this:
    they would not send the SameSite cookie."""

    @staticmethod
    def asked(origin: str = "http://localhost", **more: Any) -> Any:
        known = {"host": "127.0.0.1:8000", "cookies": {"sessionid": "x"}, "user": User(pk=1)}
        return scope(origin, **known | more)

    def test_comes_in_with_a_session(self) -> None:
        assert refused_origin(self.asked()) == ""
        assert refused_origin(self.asked("http://127.0.0.1", host="localhost:8000")) == ""

    @pytest.mark.parametrize(
        "more",
        [
            {"cookies": {}},
            {"user": AnonymousUser()},
            {"user": None},
            {"host": "localhost:8000"},
            {"host": "testserver"},
            {"scheme": "wss"},
            {"origin": "http://localhost:8001"},
            {"origin": "https://localhost"},
            {"origin": "http://evil.localhost"},
        ],
    )
    def test_and_under_no_other_circumstances(self, more: Any) -> None:
        assert refused_origin(self.asked(**more))

    @pytest.mark.parametrize("samesite", ["None", None, False])
    def test_nor_where_browsers_send_the_cookie_everywhere(
        self, samesite: Any, settings: Any
    ) -> None:
        settings.SESSION_COOKIE_SAMESITE = samesite
        assert refused_origin(self.asked())
