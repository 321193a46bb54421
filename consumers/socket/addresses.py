"""Where a chat's pictures and files are: an address that says which chat it is.

Whoever asks there is let in by that chat's own `can_accept()`. The address is signed, so it names
no class that has not written it, and the same each time, so that browsers may keep what is there.
"""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import Any

from django.core import signing
from django.urls import NoReverseMatch, reverse
from django.views.generic import View

from ...core import conf
from ..mixins.agent import AgentMixin

_SALT = "turnlog.files"

_HERE = uuid.uuid4().hex
_local: dict[type[AgentMixin], int] = {}
"""Classes that cannot be imported by their names, and their numbers: only this process, `_HERE`,
knows them. Two may have the same name and other rules who may enter."""


def address_of(chat: AgentMixin) -> str:
    """Return the address of a chat's files; empty if the project's URLs do not have them."""
    kwargs = chat.scope.get("url_route", {}).get("kwargs", {})
    plain = {key: v if isinstance(v, str | int) else str(v) for key, v in kwargs.items()}
    taken = sorted(chat.get_llm_attachments())
    said = [_name_of(type(chat)), chat.get_conversation_pk(), plain, conf.tenant(), taken]
    token = signing.Signer(salt=_SALT).sign_object(said)
    try:
        return reverse("turnlog_files:upload", args=[token])
    except NoReverseMatch:
        return ""


def chat_at(token: str, scope: Any, request: Any) -> AgentMixin | None:
    """Return the chat of an address, for the person of a scope; None if no chat has written it.

    A chat over HTTP has `request`, too: its `can_accept()` may look there.
    """
    try:
        name, pk, kwargs, tenant, taken = signing.Signer(salt=_SALT).unsign_object(token)
    except (signing.BadSignature, ValueError):
        return None
    kind = _class_of(name)
    if kind is None or tenant != conf.tenant():
        return None
    chat: Any = kind()
    if isinstance(chat, View):
        chat.setup(request, **kwargs)
    chat.scope = {**scope, "url_route": {"args": (), "kwargs": kwargs}}
    # The chat found them in its own way: by an argument of as_view(), or by its address's query.
    chat.get_conversation_pk = lambda: pk
    chat.get_llm_attachments = lambda: taken
    made: AgentMixin = chat
    return made


def _name_of(kind: type[AgentMixin]) -> str:
    name = f"{kind.__module__}:{kind.__qualname__}"
    if _imported(name) is kind:
        return name
    return f"{_HERE}/{_local.setdefault(kind, len(_local))}"


def _class_of(name: str) -> type[AgentMixin] | None:
    here, _, number = name.partition("/")
    if not number:
        return _imported(name)
    return next((k for k, n in _local.items() if (here, str(n)) == (_HERE, number)), None)


def _imported(name: str) -> type[AgentMixin] | None:
    """Return the class of this name; None if it was renamed since."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, AgentMixin) else None
