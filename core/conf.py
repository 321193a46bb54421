"""Reads ``settings.TURNLOG``: typed, with defaults. Nothing else reads it.

Every key is optional. `problems()` lists what is wrong with the dictionary. The system checks print
that at start-up; `get()` raises it, in case a project runs without checks.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from math import inf, isfinite
from typing import Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .errors import ConfigurationError
from .origins import is_origin_or_pattern

MASKED_KINDS = ("email", "phone", "card", "rrn", "ip", "secret")
"""The kinds of personal data that turnlog finds by itself."""
MASKED_KIND = re.compile(r"[^\W\d_]\w{0,29}(?:[ -]\w{1,30}){0,3}")
"""The name of a kind: it is shown."""
LEAST_BLOB = 1_024
"""The least BLOB_THRESHOLD: what stands for a blob has some 150 characters itself."""

SANDBOX_TIERS = ("full", "reduced", "bare")
"""How far away from the server code that a model wrote runs, from the best to the worst."""


@dataclass(frozen=True)
class Settings:
    """What a project may set in ``TURNLOG``; keys are these names in capitals."""

    max_message_length: int = 32_768
    """Characters (code points) that a user may send in one message."""
    max_files: int = 10
    """Pictures and files that a user may send with one message."""
    max_file_size: int = 20 * 1024 * 1024
    """Bytes of a picture or a file that a user may send."""
    max_picture_side: int = 2_048
    """Pixels that a user's picture may be wide and high; a larger one is made smaller."""
    history_turns: int = 50
    """Turns that are sent when a page opens; older ones are sent on request."""
    max_model_calls: int = 10
    """Calls of the model in one turn; a turn that needs more fails."""
    max_tool_calls: int = 100
    """Tool calls in one turn; the model is told that further ones are not run."""
    max_tool_text: int = 100_000
    """Characters of a tool's output that the model reads."""
    max_tool_output: int = 20_000_000
    """Characters of a tool's output, as the log stores it, that are kept."""
    answer_timeout: float = 600.0
    """Seconds after which an answer that is not finished fails; what there is of it is kept."""
    show_tool_errors: bool = False
    """Whether people see what a failed tool said; the log and the model always have it."""
    show_calls: bool = True
    """Whether people see what the model thinks, where its provider tells it, and each call's tokens
    and time; reviewers always do."""
    database_threads: int = 10
    """Threads, and so connections, for the database work of async code, in each process."""
    max_turns_per_user: int = 10
    """Answers that one person may have under way in one process, in all their conversations; all
    guests behind one address count as one person."""
    max_turns: int = 100
    """Answers that all people together may have under way in one process."""
    max_sockets_per_user: int = 200
    """Sockets that one person may have open in one process."""
    runner_timeout: float = 20.0
    """Seconds without a heartbeat after which another host's open turn counts as interrupted."""
    tenant: str = ""
    """Dotted path of a function that returns the current tenant's name, of at most 60 letters,
    digits, ``-`` and ``_``: for projects whose tenants each have conversations of their own."""
    can_review: str = ""
    """Dotted path of a function of a user and a conversation that returns whether the user may
    review it; by default, whoever owns it or has the permission to review all."""
    client_address: str = ""
    """Dotted path of a function of a request that returns the client's address for the log of
    accesses; by default, the one that the server was connected from."""
    masked_kinds: tuple[str, ...] = MASKED_KINDS
    """Kinds of personal data that are masked where somebody reads what others said."""
    masked_patterns: Mapping[str, str] = field(default_factory=dict)
    """Regular expressions for more kinds, by their names."""
    find_personal_data: str = ""
    """Dotted path of a function that finds more: it takes a text, and returns or yields
    ``(start, end, kind)``."""
    eventstream_storage: str = ""
    """Dotted path of the class that stores the events of django-eventstream's channels that are the
    project's own, where turnlog's LogStorage is the storage."""
    eventstream_channelmanager: str = ""
    """Dotted path of the class that manages those channels; by default, django-eventstream's."""
    around_database: str = ""
    """Dotted path of a function that returns a context manager: turnlog's threads enter it around
    their work with the database."""
    shutdown_grace: float = 20.0
    """Seconds that running turns have to finish after the server receives the signal to stop."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other pages that may open a socket: ``https://host:port``; the host may be
    ``*.example.com``."""
    signing_key_file: str = ""
    """File with the private key that signs checkpoints; TURNLOG_SIGNING_KEY takes precedence."""
    public_keys: tuple[str, ...] = ()
    """Public keys of checkpoints in addition to the signing key's own: those of earlier keys."""
    checkpoint_path: str = ""
    """A directory outside the database for a second copy of each signed checkpoint."""
    checkpoint_hook: str = ""
    """Dotted path of a function that is called with the text of each new signed checkpoint."""
    receipts_file: str = ""
    """A file outside the database to which each erasure's receipt is appended."""
    retention: Mapping[str, int] = field(default_factory=dict)
    """Days to keep what was said, by kind; see RETENTION_KINDS."""

    table_bytes: int = 50 * 2**20
    """Bytes of a data analyst's table, as a file."""
    table_rows: int = 1_000_000
    """Rows of such a table."""
    table_columns: int = 1_000
    """Columns of such a table."""
    table_seconds: int = 60
    """Seconds of computing that reading such a table may take."""

    blob_threshold: int = 65_536
    """Characters of a text, or of the base64 of bytes, that an event's payload holds itself; what
    is longer is stored once, by its SHA-256. At least 1,024."""
    blob_storage: str = ""
    """Which of Django's STORAGES holds what is longer; by default, a table of the log's database
    does."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """What reviewers judge: by name, ``"yes/no"``, a list of choices, or the lowest and the highest
    number."""

    sandbox_least: str = "reduced"
    """The worst tier of sandbox in which code that a model wrote may run: ``full``, ``reduced``, or
    ``bare`` (none at all), which counts with DEBUG only."""
    sandbox_runner: str = ""
    """Dotted path of a function that starts a sandbox's process, instead of turnlog's tiers."""
    sandbox_libraries: tuple[str, ...] = ("pandas", "numpy", "matplotlib", "seaborn", "pyarrow")
    """Distributions that code in a sandbox may import, with what they require."""
    sandbox_workers: int = 8
    """Sandboxes that one process may have."""
    sandbox_workers_per_user: int = 2
    """Sandboxes that one person may have in one process."""
    sandbox_spare: bool = True
    """Whether a process that has a sandbox starts one more, for the next conversation."""
    sandbox_idle: float = 600.0
    """Seconds after which a sandbox that was not used ends, with its variables."""
    sandbox_memory: int = 2048
    """MiB of address space of a sandbox."""
    sandbox_cpu: int = 600
    """Seconds of computing over a sandbox's life."""
    sandbox_disk: int = 64
    """MiB of files in a sandbox."""
    sandbox_threads: int = 32
    """Threads of a sandbox."""
    sandbox_rows: int = 1_000
    """Rows of a table that come back from a sandbox."""
    sandbox_answer: int = 4_000_000
    """Bytes of a value that comes back from a sandbox, as JSON."""


RETENTION_KINDS = ("conversations", "turns", "failed_turns", "accesses")
"""What a retention policy may name: conversations without anything new, turns that have ended,
turns that ended without an answer, and months of the log of accesses."""


def problems(raw: Any) -> list[str]:
    """One sentence for each problem with a TURNLOG setting."""
    if not isinstance(raw, Mapping):
        return [f"TURNLOG must be a dictionary, found {type(raw).__name__}"]
    known = {item.name.upper(): item for item in fields(Settings)}
    found = []
    for key, value in raw.items():
        if key not in known:
            found.append(f"TURNLOG has an unknown key {key!r}; known keys: {', '.join(known)}")
        elif key == "SCORES":
            found += _problems_of_scores(value)
        elif key == "MASKED_PATTERNS":
            found += _pattern_problems(value)
        elif wrong := _problem(getattr(_DEFAULTS, key.lower()), value):
            found.append(f"TURNLOG[{key!r}] must be {wrong}, found {value!r}")
        elif key == "ALLOWED_ORIGINS":
            found += [
                f"TURNLOG['ALLOWED_ORIGINS'] must list origins such as 'https://chat.example.com',"
                f" 'https://chat.example.com:8443' or 'https://*.example.com', found {text!r}"
                for text in value
                if not is_origin_or_pattern(text)
            ]
        elif key == "SANDBOX_LEAST" and value not in SANDBOX_TIERS:
            found.append(
                f"TURNLOG['SANDBOX_LEAST'] must be one of {', '.join(map(repr, SANDBOX_TIERS))},"
                f" found {value!r}"
            )
        elif key == "BLOB_THRESHOLD" and value < LEAST_BLOB:
            found.append(f"TURNLOG['BLOB_THRESHOLD'] must be at least {LEAST_BLOB}, found {value}")
        elif key == "BLOB_STORAGE" and value and value not in django_settings.STORAGES:
            known_storages = ", ".join(map(repr, sorted(django_settings.STORAGES)))
            found.append(
                f"TURNLOG['BLOB_STORAGE'] must name one of STORAGES ({known_storages}), found"
                f" {value!r}"
            )
        elif key == "MASKED_KINDS" and (unknown := set(value) - set(MASKED_KINDS)):
            found.append(
                f"TURNLOG['MASKED_KINDS'] must list some of {', '.join(map(repr, MASKED_KINDS))},"
                f" found {', '.join(map(repr, sorted(unknown)))}"
            )
    return found


def _pattern_problems(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        what = type(value).__name__
        return [
            f"TURNLOG['MASKED_PATTERNS'] must be a dictionary from names to patterns, found {what}"
        ]
    return [
        f"TURNLOG['MASKED_PATTERNS'][{name!r}] must be {wrong}, found {pattern!r:.80}"
        for name, pattern in value.items()
        if (wrong := _wrong_pattern(name, pattern))
    ]


def _wrong_pattern(name: Any, pattern: Any) -> str:
    if not isinstance(name, str) or not MASKED_KIND.fullmatch(name):
        return "under a name of letters and digits, such as 'employee'"
    try:
        matches_nothing = re.compile(pattern).search("") if isinstance(pattern, str) else None
    except re.error as error:
        return f"a regular expression ({error})"
    if not isinstance(pattern, str):
        return "a regular expression as a string"
    return "a regular expression that needs at least one character" if matches_nothing else ""


_DEFAULTS = Settings()


def _problem(default: Any, value: Any) -> str:
    """What a value should be, judged by its setting's default; empty if it is."""
    if isinstance(default, tuple):
        listed = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return "" if listed else "a list of strings"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, str):
        return "" if isinstance(value, str | os.PathLike) else "a string"
    if isinstance(default, Mapping):
        days = isinstance(value, Mapping) and all(
            kind in RETENTION_KINDS and _is_number(number) and isinstance(number, int)
            for kind, number in value.items()
        )
        kinds = ", ".join(map(repr, RETENTION_KINDS))
        return "" if days else f"a dictionary from {kinds} to whole numbers of days above 0"
    if not _is_number(value):
        return "a number above 0"
    if isinstance(default, int) and not isinstance(value, int):
        return "a whole number"
    return ""


def _problems_of_scores(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"TURNLOG['SCORES'] must be a dictionary, found {value!r}"]
    found = []
    for name, kind in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w -]{0,39}", name):
            found.append(
                "TURNLOG['SCORES'] must have names of at most 40 letters, digits, spaces, - and _,"
                f" found {name!r}"
            )
        elif not _is_score(kind):
            found.append(
                f"TURNLOG['SCORES'][{name!r}] must be 'yes/no', a list of at least 2 different"
                f" choices, or a list of the lowest and the highest number, found {kind!r}"
            )
    return found


def _is_score(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind == "yes/no"
    if not isinstance(kind, list | tuple) or len(kind) < 2:
        return False
    if all(isinstance(each, str) and 0 < len(each) <= 64 for each in kind):
        return len(set(kind)) == len(kind) <= 50
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in kind)
    return numbers and len(kind) == 2 and isfinite(kind[0]) and kind[0] < kind[1] < inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


@functools.cache
def get() -> Settings:
    """The project's settings over the defaults. Raises ConfigurationError."""
    raw = getattr(django_settings, "TURNLOG", {})
    if wrong := problems(raw):
        raise ConfigurationError("; ".join(wrong))
    return Settings(**{key.lower(): _plain(value) for key, value in raw.items()})


FUNCTIONS = (
    *("TENANT", "AROUND_DATABASE", "CAN_REVIEW", "CLIENT_ADDRESS", "FIND_PERSONAL_DATA"),
    *("CHECKPOINT_HOOK", "EVENTSTREAM_STORAGE", "EVENTSTREAM_CHANNELMANAGER", "SANDBOX_RUNNER"),
)
"""The settings that name a function, or a class."""


def function(key: str) -> Callable[..., Any] | None:
    """Return the function that a setting names; None if it names none.

    Raises ConfigurationError if it cannot be imported, or is no function.
    """
    path = getattr(get(), key.lower())
    if not path:
        return None
    try:
        found = import_string(path)
    except ImportError as error:
        raise ConfigurationError(
            f"expected TURNLOG[{key!r}] to name a function, found {path!r}: {error}"
        ) from error
    if not callable(found):
        what = type(found).__name__
        raise ConfigurationError(
            f"expected TURNLOG[{key!r}] to name a function, found {path!r}, which is of type {what}"
        )
    return cast(Callable[..., Any], found)


_NAME = re.compile(r"[\w-]{0,60}", re.ASCII)


def tenant() -> str:
    """Return the current tenant's name; empty without TURNLOG["TENANT"]. Raises
    ConfigurationError."""
    if (current := function("TENANT")) is None:
        return ""
    name = current()
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            "expected TURNLOG['TENANT'] to return at most 60 letters, digits, - and _,"
            f" found {name!r:.80}"
        )
    return name


def around_database() -> AbstractContextManager[Any]:
    """Return what the project puts around database work in turnlog's threads. Raises
    ConfigurationError."""
    if (around := function("AROUND_DATABASE")) is None:
        return nullcontext()
    found = around()
    if not isinstance(found, AbstractContextManager):
        raise ConfigurationError(
            f"expected TURNLOG['AROUND_DATABASE'] to return a context manager, found {found!r:.80}"
        )
    return cast(AbstractContextManager[Any], found)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TURNLOG":
        get.cache_clear()


setting_changed.connect(_forget)
