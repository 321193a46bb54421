"""Whether a socket may be opened, and may stay open: its person and its session."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.db import router
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from ...events import uploads


def person_of(user: Any) -> str:
    """Return an opaque name of a user, the same for a page and its socket; "" if there is none.

    All guests have the same one. It says nothing about the user, so a page may show it.
    """
    if user is None:
        return ""
    who = f"user {user.pk}" if user.is_authenticated else "guest"
    return salted_hmac("turnlog.person", who, algorithm="sha256").hexdigest()[:24]


def forget_person(user: Any) -> None:
    """Drop what is kept under a user's name: files that wait to be sent. Raises NotStored."""
    uploads.forget(person_of(user))


def is_the_pages_person(scope: Any, asked: str) -> bool:
    """Return whether this socket's user is the one that the page was rendered for.

    A page that lost its connection may come back after another person signed in in the browser. It
    would mix two people's turns, and send the words of one in the name of the other.
    """
    person = person_of(scope.get("user"))
    return not asked or not person or constant_time_compare(asked, person)


def session_is_alive(scope: Any) -> bool:
    """Return whether the user who opened the socket is still logged in; asks the database."""
    user = scope.get("user")
    if user is None or not user.is_authenticated:
        return True
    current = users().filter(pk=user.pk).first()
    if current is None or not current.is_active:
        return False
    session = scope.get("session")
    key = getattr(session, "session_key", None)
    # The session as it was when the socket was opened: Channels loads it once.
    if session is None or key is None or SESSION_KEY not in session:
        return True  # Logged in by other means than a session.
    return is_session_of(current, session_engine()(key))


def users() -> Any:
    """Return all users; not from a replica, which may not know yet that one was deactivated."""
    model: Any = get_user_model()
    return model._default_manager.using(router.db_for_write(model))


def is_session_of(user: Any, session: Any) -> bool:
    """Return whether a session as it is stored now is a user's, with the password of today."""
    if str(session.get(SESSION_KEY)) != str(user.pk):
        return False
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    stored = session.get(HASH_SESSION_KEY, "")
    return any(constant_time_compare(stored, one) for one in hashes)


def stored_sessions(keys: Collection[str]) -> Mapping[str, Any]:
    """Return sessions as they are stored now; in one query, if they are rows."""
    engine = session_engine()
    if not hasattr(engine, "get_model_class"):
        return {key: engine(key) for key in keys}
    model = engine.get_model_class()
    rows = model._default_manager.using(router.db_for_write(model))
    alive = rows.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {row.session_key: row.get_decoded() for row in alive}


def session_engine() -> Any:
    """Return the class of the project's sessions."""
    return importlib.import_module(settings.SESSION_ENGINE).SessionStore
