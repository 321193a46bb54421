"""Whether the person who opened a socket is still logged in."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY, login, logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from turnlog.consumers.socket.access import session_is_alive

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(user: Any) -> HttpRequest:
    request = HttpRequest()
    request.session = SessionStore()
    request.user = AnonymousUser()  # type: ignore[assignment]
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return request


def scope_of(request: HttpRequest) -> dict[str, Any]:
    """As Channels' middleware loads it once, when the socket is opened."""
    session = SessionStore(request.session.session_key)
    assert SESSION_KEY in session
    return {"user": request.user, "session": session}


def test_a_session_that_goes_on_is_alive(request_: HttpRequest) -> None:
    assert session_is_alive(scope_of(request_))


def test_logging_out_ends_it(request_: HttpRequest) -> None:
    scope = scope_of(request_)
    logout(request_)
    assert not session_is_alive(scope)


def test_changing_the_password_ends_it(request_: HttpRequest, user: Any) -> None:
    scope = scope_of(request_)
    user.set_password("new")
    user.save()
    assert not session_is_alive(scope)


def test_deactivating_or_deleting_the_user_ends_it(request_: HttpRequest, user: Any) -> None:
    scope = scope_of(request_)
    user.is_active = False
    user.save()
    assert not session_is_alive(scope)
    user.delete()
    assert not session_is_alive(scope)


def test_guests_and_other_ways_to_log_in_have_no_session_to_end(user: Any) -> None:
    assert session_is_alive({})
    assert session_is_alive({"user": AnonymousUser()})
    assert session_is_alive({"user": user})
