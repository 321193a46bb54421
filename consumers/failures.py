"""Why a turn failed: what the log keeps, what the operator reads, what the person is told.

The person's sentence is made when it is shown, in the reader's language, from the kind alone.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from django.utils.translation import gettext as _

# By the class names of the clients' exceptions, nearest class first; none is imported for it.
_KINDS = {
    "ConfigurationError": "configuration",
    "ImproperlyConfigured": "configuration",
    "AuthenticationError": "credentials",
    "PermissionDeniedError": "credentials",
    "OpenAIError": "credentials",  # Itself, it is raised for a missing key only.
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
    """A short name for the reason, `error` if it is none of those known."""
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
    """What the log keeps of an error: its type, its kind, and its text without secrets."""
    return {
        "type": type(error).__name__,
        "kind": kind_of(error),
        "text": _SECRET.sub("[secret]", str(error))[:_LONGEST],
    }


def where(error: BaseException) -> str:
    """For a line in the operator's log: type and place, never the text, which may quote people."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    cause = f" (from {type(error.__cause__).__name__})" if error.__cause__ else ""
    return f"{type(error).__name__}{place}{cause}"


def sentence(error: Mapping[str, str] | None) -> str:
    """What to tell the person, with what to do; empty without an error."""
    if error is None:
        return ""
    return {
        "configuration": _("This chat is not set up correctly. Tell whoever runs this site."),
        "credentials": _(
            "The model did not accept this site's key, or there is none. Tell whoever runs"
            " this site; your words are kept."
        ),
        "timeout": _("The model took too long to answer. Your words are kept: send them again."),
        "unreachable": _(
            "The model cannot be reached right now. Your words are kept: try again in a moment."
        ),
        "busy": _("The model is busy right now. Your words are kept: try again in a minute."),
        "unknown_model": _(
            "The model server does not know this model or address. Tell whoever runs this site;"
            " your words are kept."
        ),
        "refused": _(
            "The model did not accept this request. Your words are kept: try to put it differently."
        ),
        "unavailable": _(
            "The model has trouble right now. Your words are kept: try again in a moment."
        ),
        "truncated": _("The model's answer broke off. Your words are kept: send them again."),
        "rounds": _(
            "The model kept using tools and came to no answer. Your words are kept: try to ask"
            " for less at once."
        ),
        "unstorable": _(
            "A tool gave something that cannot be recorded. Tell whoever runs this site; your"
            " words are kept."
        ),
        "database": _(
            "The answer could not be recorded. Your words are kept: send them again in a moment."
        ),
    }.get(
        error.get("kind", ""),
        _("The model could not answer. Your words are kept: send them again."),
    )
