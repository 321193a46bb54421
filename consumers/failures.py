"""Why a turn failed: what the log keeps, what the operator reads, and what the user sees.

The user's sentence is made when it is shown, in the reader's language, from the kind alone.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from django.utils.translation import gettext as _

from ..core.errors import ModelError
from ..core.wellformed import wellformed

# By the class names of the clients' exceptions, so that no client is imported; the nearest class
# of an exception decides.
_KINDS = {
    "TableError": "table",
    "SandboxRefused": "sandbox",
    "ConfigurationError": "configuration",
    "ImproperlyConfigured": "configuration",
    "AuthenticationError": "credentials",
    "PermissionDeniedError": "credentials",
    "OpenAIError": "credentials",  # This class itself is raised only if the key is missing.
    "ModelAuthenticationError": "credentials",
    "ModelPermissionDeniedError": "credentials",
    "APITimeoutError": "timeout",
    "TimeoutError": "timeout",
    "ModelTimeoutError": "timeout",
    "APIConnectionError": "unreachable",
    "ModelConnectionError": "unreachable",
    "ConnectError": "unreachable",
    "RateLimitError": "busy",
    "ModelRateLimitError": "busy",
    "NotFoundError": "unknown_model",
    "ModelNotFoundError": "unknown_model",
    "ContextOverflowError": "too_long",
    "ModelRefusalError": "declined",
    "ContentFilterFinishReasonError": "filtered",
    "LengthFinishReasonError": "length",
    "BadRequestError": "refused",
    "UnprocessableEntityError": "refused",
    "ModelInvalidRequestError": "refused",
    "InternalServerError": "unavailable",
    "OverloadedError": "busy",
    "APIStatusError": "unavailable",
    "APIError": "unavailable",
    "ModelAPIError": "unavailable",
    "RemoteProtocolError": "truncated",
    "ReadError": "truncated",
    "IncompleteRead": "truncated",
    "ReadTimeout": "timeout",
    "TooManyRounds": "rounds",
    "CodecError": "unstorable",
    "Error": "database",
}
# What the server's answer says is nearer to the cause than the client's class: one status stands
# for many causes. By the codes and phrases of the providers' references; the first that is found.
_CAUSES = {
    "too_long": (
        *("context_length_exceeded", "maximum context length", "context window"),
        *("prompt is too long", "input is too long", "too many tokens in the prompt"),
        *("exceed context limit", "exceeds the maximum number of tokens"),
        *("string_above_max_length", "request too large for"),
    ),
    "quota": (
        *("insufficient_quota", "exceeded your current quota", "credit balance"),
        *("insufficient balance", "insufficient_balance", "insufficient credits"),
        *("payment required", "spending limit", "monthly limit"),
    ),
    "credentials": ("invalid_api_key", "incorrect api key", "authentication_error"),
    "filtered": (
        *("content_policy_violation", "content_filter", "responsibleaipolicyviolation"),
        *("content management policy", "moderation_blocked", "flagged as potentially violating"),
    ),
    "unknown_model": (
        *("model_not_found", "the model does not exist", "is not a valid model"),
        *("unknown model", "model not found"),
    ),
    "option": (
        *("unsupported_parameter", "unsupported_value", "unknown_parameter"),
        *("unsupported parameter", "unsupported value", "unknown parameter"),
        "unrecognized request argument",
        *("extra inputs are not permitted", "extra fields not permitted", "unexpected keyword"),
        *("is not supported with this model", "does not support", "invalid_function_parameters"),
        *("tool choice requires", "unsupported_model"),
    ),
    "empty": ("no generation chunks were returned",),  # LangChain's words
    "busy": ("rate_limit", "rate limit", "overloaded", "too many requests"),
    "unavailable": ("server_error", "internal server error"),
}
# What no server has said.
_OURS = (
    *("configuration", "table", "sandbox", "credentials", "database", "unstorable", "rounds"),
    "timeout",
)
_STATUSES = {402: "quota", 413: "too_long", 429: "busy", 529: "busy"}
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|gsk|AIza|key)[-_]?[\w*.\-]{12,}"
    r"|\b(?:sk|pk|rk)-[\w*.\-]{4,}"
    r"|\bBearer\s+\S+"
    r"|\b(?:api[_-]?key|token|password|secret)[\"']?\s*[=:]\s*\S+"
    r"|://[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
_LONGEST = 500
_MOST_PARTS = 5


def kind_of(error: BaseException) -> str:
    """Return a short name for the reason; `error` if the reason is not known."""
    own = getattr(error, "kind", None)
    if isinstance(error, ModelError) and isinstance(own, str):
        return own
    by_class = _by_class(error)
    if by_class in _OURS:
        return by_class
    return _by_answer(error) or by_class or "error"


def _by_class(error: BaseException) -> str:
    for cls in type(error).__mro__:
        if cls.__name__ == "Error" and not cls.__module__.startswith("django.db"):
            continue
        if cls.__name__ in ("APIError", "OpenAIError") and cls is not type(error):
            continue
        if kind := _KINDS.get(cls.__name__):
            return kind
    return ""


def _by_answer(error: BaseException) -> str:
    """Return the kind that the server's own words tell; empty if they tell none.

    Only for a client's exceptions, which hold a server's answer, and for LangChain's `ValueError`
    of a failed response. A tool's or a hook's words are not looked at.
    """
    code, status = getattr(error, "code", None), getattr(error, "status_code", None)
    answered = status is not None or hasattr(error, "body") or type(error) is ValueError
    if not answered:
        return ""
    said = f"{code or ''} {getattr(error, 'body', '') or ''} {text_of(error)}".lower()
    for kind, phrases in _CAUSES.items():
        if any(phrase in said for phrase in phrases):
            return kind
    if status == 400 and getattr(error, "param", None):
        return "option"
    return _STATUSES.get(status, "") if isinstance(status, int) else ""


def describe(error: BaseException) -> dict[str, str]:
    """Return what the log keeps of an error: its type, its kind, and its text without secrets."""
    return {
        "type": type(error).__name__,
        "kind": kind_of(error),
        "text": text_of(error)[:_LONGEST],
    }


def text_of(error: BaseException) -> str:
    """Return an exception's own text without secrets; its class may raise in `__str__`, too."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - any class may be raised, with any __str__
        text = ""
    return wellformed(_SECRET.sub("[secret]", text))


def told(error: BaseException) -> str:
    """Return what the model is told of a tool's exception: its type, its text, and its parts."""
    inner = getattr(error, "exceptions", ()) if isinstance(error, BaseExceptionGroup) else ()
    parts = "".join(f"; {told(part)}" for part in inner[:_MOST_PARTS])
    return f"{type(error).__name__}: {text_of(error)}{parts}"


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
        "table": _(
            "The table of this chat cannot be read. Your message is saved; tell the site's"
            " administrator."
        ),
        "sandbox": _(
            "Python code cannot run here right now. Your message is saved; tell the site's"
            " administrator."
        ),
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
        "too_long": _(
            "This conversation has become too long for the model. Your message is saved: shorten"
            " it, clear the conversation, or begin a new one."
        ),
        "quota": _(
            "This site's account with the model's provider is used up. Your message is saved; tell"
            " the site's administrator."
        ),
        "option": _(
            "The model server does not accept an option of this chat. Your message is saved; tell"
            " the site's administrator."
        ),
        "cut": _(
            "The answer ends here because it reached its limit of length. Ask for the rest to go"
            " on."
        ),
        "length": _(
            "The model used up its limit of tokens before it could answer. Your message is saved:"
            " try asking for less at once."
        ),
        "filtered": _(
            "The provider's filter withheld the answer. Your message is saved: try to put it"
            " differently."
        ),
        "declined": _("The model declined to answer this."),
        "empty": _("The model ended without an answer. Your message is saved: send it again."),
        "unreadable": _(
            "The model's answer could not be read. Your message is saved: send it again."
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
            "A part of the answer cannot be recorded. Your message is saved; tell the site's"
            " administrator."
        ),
        "database": _(
            "The answer could not be recorded. Your message is saved: send it again in a moment."
        ),
    }.get(
        error.get("kind", ""),
        _("The model could not answer. Your message is saved: send it again."),
    )
