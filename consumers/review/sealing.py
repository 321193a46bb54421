"""Words that people search for, in an address: sealed, so that no log of requests has them."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import TurnlogError
from ...projections.overview.query import QueryError, parse
from .access import PERMISSION

_LONGEST = 8_000
"""Characters of a sealed search; it is not opened beyond."""
_SPEAKING = {"text", "user", "tool", "model", "type"}
"""What a query may name people by."""


class BadSeal(TurnlogError, ValueError):
    """Something in an address that is no sealed search of this site."""


def sealed(words: str, user: Any) -> str:
    """Return words as only this site can read them, for the user who searches for them.

    A link with them works for all who review by permission if its user does.
    """
    return _seal(user).encrypt(words.encode("utf-8", "replace")).decode()


def unsealed(text: str, user: Any) -> str:
    """Return the words. Raises BadSeal, also if they are sealed for somebody else."""
    try:
        if len(text) > _LONGEST:
            raise InvalidToken
        return _seal(user).decrypt(text.encode("utf-8", "replace")).decode()
    except (InvalidToken, ValueError):
        raise BadSeal(
            _("Expected the whole address of a search, found a part or another one: search again.")
        ) from None


def names_nobody(query: str) -> bool:
    """Return whether a query may stand in an address as it is: it has no words and no user."""
    try:
        return not any(condition.key in _SPEAKING for condition in parse(query))
    except QueryError:
        return False


def _seal(user: Any) -> MultiFernet:
    # Whoever reads a log of requests may have an account here, too. So who may read the words is
    # part of the key.
    who = "reviewers" if user.has_perm(PERMISSION) else f"user {user.pk}"
    reader = f"{conf.tenant()}/{who}"
    secrets = [settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ())]
    return MultiFernet([Fernet(_key(secret, reader)) for secret in secrets])


def _key(secret: str | bytes, reader: str) -> bytes:
    made = salted_hmac("turnlog.consumers.review.sealing", reader, secret, algorithm="sha256")
    return urlsafe_b64encode(made.digest())
