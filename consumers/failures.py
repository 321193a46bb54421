"""Why a turn failed: what the log keeps, what the operator reads, and what the user sees.

The user's sentence is made when it is shown, in the reader's language, from the kind alone.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from django.utils.translation import gettext as _

# By the class names of the clients' exceptions, so that no client is imported; the nearest class
# of an exception decides.
_KINDS = {
    "ConfigurationError": "configuration",
    "ImproperlyConfigured": "configuration",
    "AuthenticationError": "credentials",
    "PermissionDeniedError": "credentials",
    "OpenAIError": "credentials",  # This class itself is raised only if the key is missing.
    "APITimeoutError": "timeout",
    "TimeoutError": "timeout",
    "APIConnectionError": "unreachable",
    "RateLimitError": "busy",
    "NotFoundError": "unknown_model",
    "BadRequestError": "refused",
    "InternalServerError": "unavailable",
    "APIError": "unavailable",
    "TruncatedAnswer": "truncated",
    "TooManyRounds": "rounds",
    "CodecError": "unstorable",
    "Error": "database",
}
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|gsk|AIza|key)[-_]?[\w*.\-]{12,}"
    r"|\b(?:sk|pk|rk)-[\w*.\-]{4,}"
    r"|\bBearer\s+\S+"
    r"|\b(?:api[_-]?key|token|password|secret)[\"']?\s*[=:]\s*\S+"
    r"|://[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
_LONGEST = 500


def kind_of(error: BaseException) -> str:
    """Return a short name for the reason; `error` if the reason is not known."""
    for cls in type(error).__mro__:
        if cls.__name__ == "Error" and not cls.__module__.startswith("django.db"):
            continue
        if cls.__name__ == "APIError" and cls is not type(error):
            continue
        if cls.__name__ == "OpenAIError" and cls is not type(error):
            continue
        if kind := _KINDS.get(cls.__name__):
            return kind
    return "error"


def describe(error: BaseException) -> dict[str, str]:
    """Return what the log keeps of an error: its type, its kind, and its text without secrets."""
    return {
        "type": type(error).__name__,
        "kind": kind_of(error),
        "text": _SECRET.sub("[secret]", str(error))[:_LONGEST],
    }


def where(error: BaseException) -> str:
    """Return an error's type and place for the operator's log, without its text.

    The text may quote people.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    cause = f" (from {type(error.__cause__).__name__})" if error.__cause__ else ""
    return f"{type(error).__name__}{place}{cause}"


def sentence(error: Mapping[str, str] | None) -> str:
    """Return what happened and what to do, for the user; empty if there is no error."""
    if error is None:
        return ""
    return {
        "configuration": _("This chat is not set up correctly. Tell the site's administrator."),
        "credentials": _(
            "The model did not accept this site's key, or there is none. Your message is saved;"
            " tell the site's administrator."
        ),
        "timeout": _("The model took too long to answer. Your message is saved: send it again."),
        "unreachable": _(
            "The model cannot be reached right now. Your message is saved: try again in a moment."
        ),
        "busy": _("The model is busy right now. Your message is saved: try again in a minute."),
        "unknown_model": _(
            "The model server does not know this model or address. Your message is saved; tell the"
            " site's administrator."
        ),
        "refused": _(
            "The model did not accept this request. Your message is saved: try to put it"
            " differently."
        ),
        "unavailable": _(
            "The model has a problem right now. Your message is saved: try again in a moment."
        ),
        "truncated": _("The model's answer broke off. Your message is saved: send it again."),
        "rounds": _(
            "The model kept using tools without reaching an answer. Your message is saved: try"
            " asking for less at once."
        ),
        "unstorable": _(
            "A tool returned something that cannot be recorded. Your message is saved; tell the"
            " site's administrator."
        ),
        "database": _(
            "The answer could not be recorded. Your message is saved: send it again in a moment."
        ),
    }.get(
        error.get("kind", ""),
        _("The model could not answer. Your message is saved: send it again."),
    )
