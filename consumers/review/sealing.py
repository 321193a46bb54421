"""Words that people search for, in an address: sealed, so that no log of requests has them."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from ...core.errors import TurnlogError
from ...projections.overview.query import QueryError, parse

_LONGEST = 8_000
"""Characters of a sealed search; it is not opened beyond."""
_SPEAKING = {"text", "user"}
"""What a query may name people by."""


class BadSeal(TurnlogError, ValueError):
    """Something in an address that is no sealed search of this site."""


def sealed(words: str) -> str:
    """Return words as only this site can read them; a link with them works for colleagues, too."""
    return _seal().encrypt(words.encode("utf-8", "replace")).decode()


def unsealed(text: str) -> str:
    """Return the words. Raises BadSeal."""
    try:
        if len(text) > _LONGEST:
            raise InvalidToken
        return _seal().decrypt(text.encode("utf-8", "replace")).decode()
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


def _seal() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ())]
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str | bytes) -> bytes:
    made = salted_hmac("turnlog.consumers.review.sealing", "", secret, algorithm="sha256")
    return urlsafe_b64encode(made.digest())
