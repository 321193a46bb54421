"""Why a turn failed: what the log keeps, what the operator reads, and what the user sees.

The user's sentence is made when it is shown, in the reader's language, from the kind alone.
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from ..core.daemons import in_daemon
from ..core.errors import ModelError
from ..core.escaped import name_of
from ..core.wellformed import wellformed

R = TypeVar("R")

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
_MASKED = 20_000
"""Characters of an exception's text that are looked through for secrets; no more are shown."""
_AT_THE_CUT = 1_000
"""Characters that are dropped where it is cut: half a secret does not look like one."""
_SEARCHED = 20_000
"""Characters of a text that are searched for a cause."""
_MOST_VALUES, _MOST_OF_ONE = 200, 40
"""Values of a server's answer that are searched, the outer ones first; and those of one."""
_MOST_PARTS, _MOST_OF_A_GROUP = 20, 5
_SECONDS = 5.0
"""How long an exception may take to say what it has to say."""


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
    texts = (*_texts_in([code, getattr(error, "body", None)]), _text(error, _SEARCHED))
    said = " ".join(texts).lower()
    for kind, phrases in _CAUSES.items():
        if any(phrase in said for phrase in phrases):
            return kind
    if status == 400 and getattr(error, "param", None):
        return "option"
    return _STATUSES.get(status, "") if isinstance(status, int) else ""


def _texts_in(answer: Any) -> list[str]:
    """Return the beginnings of the texts in a server's answer, of as many as are looked at."""
    texts: list[str] = []
    left = deque([answer])
    for _value in range(_MOST_VALUES):
        if not left:
            break
        value = left.popleft()
        if isinstance(value, str):
            texts.append(value[:_SEARCHED])
        elif isinstance(value, dict):
            left += islice(chain.from_iterable(value.items()), _MOST_OF_ONE)
        elif isinstance(value, list | tuple):
            left += value[:_MOST_OF_ONE]
    return texts


async def described(error: BaseException) -> dict[str, str]:
    """Return what the log keeps of an error of any class, as `describe` does; never raises.

    The class is asked in another thread and not waited for too long: the event loop is everybody's.
    """
    return await in_time(partial(describe, error), unheard(error))


def unheard(error: BaseException) -> dict[str, str]:
    """Return what the log keeps of an error that is not asked."""
    return {"type": name_of(error), "kind": "error", "text": ""}


async def in_time(say: Callable[[], R], otherwise: R) -> R:
    """Return what a function says of an exception, in a thread of its own; `otherwise` if it fails
    or takes too long."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await in_daemon(say, "turnlog-error")
    except Exception:  # noqa: BLE001 - its class may raise anything
        return otherwise


def describe(error: BaseException) -> dict[str, str]:
    """Return what the log keeps of an error: its type, its kind, and its text without secrets.

    On the event loop, only for errors whose classes are known: see `described`.
    """
    return {
        "type": name_of(error),
        "kind": kind_of(error),
        "text": text_of(error)[:_LONGEST],
    }


def text_of(error: BaseException) -> str:
    """Return the beginning of an exception's own text, without secrets."""
    text = _text(error, _MASKED + 1)
    masked = _SECRET.sub("[secret]", text[:_MASKED])
    return wellformed(masked if len(text) <= _MASKED else masked[:-_AT_THE_CUT])


def _text(error: BaseException, most: int) -> str:
    """Return so much of an exception's text; its class may raise in `__str__`, too."""
    try:
        # Of a text of a class of its own, only the text.
        return str.__getitem__(str(error), slice(most))
    except BaseException:  # noqa: BLE001 - any class may be raised, with any __str__
        return ""


def told(error: BaseException) -> str:
    """Return what the model is told of a tool's exception: its type, its text, and its parts.

    It takes as long as the exception's class does: call it where the tool has run. Groups may hold
    the same exception many times over, and themselves any number of groups.
    """
    said: list[str] = []
    seen: set[int] = set()
    left = [error]
    while left and len(said) < _MOST_PARTS:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        said.append(f"{name_of(part)}: {text_of(part)}")
        if issubclass(type(part), BaseExceptionGroup):
            parts = vars(BaseExceptionGroup)["exceptions"].__get__(part)
            left += reversed(parts[:_MOST_OF_A_GROUP])
    return "; ".join(said)


def where(error: BaseException) -> str:
    """Return an error's type and place for the operator's log, without its text.

    The text may quote people.
    """
    frames = traceback.extract_tb(_own(error, "__traceback__"), limit=-1)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    cause = _own(error, "__cause__")
    return f"{name_of(error)}{place}{f' (from {name_of(cause)})' if cause is not None else ''}"


def _own(error: BaseException, name: str) -> Any:
    """Return what Python itself keeps of an error, whatever its class makes of the name."""
    return vars(BaseException)[name].__get__(error)


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
