"""What a client may request, parsed from text that may contain anything."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ...core import conf
from ...core.wellformed import wellformed
from ...events.approvals import LONGEST_REASON

# htmx's ws extension adds its request headers to every form that it sends.
_IGNORED = {"HEADERS", "csrfmiddlewaretoken"}
_FIELDS = {
    None: {"user_text", "turn_id", "files", "instead_of"},
    "again": {"type", "turn_id", "instead_of"},
    "choose": {"type", "turn_id"},
    "ping": {"type"},
    "stop": {"type", "turn_id"},
    "earlier": {"type", "before"},
    "decide": {"type", "turn_id", "call", "approved", "reason"},
    "source": {"type", "turn_id"},
}


# JSON may write a character as two escapes; the rest is the other fields and htmx's headers.
_LONGEST_CHARACTER = 12
_ROOM_FOR_THE_REST = 8_192
_LONGEST_FILE = 36
"""Characters of a file's name: a UUID."""


class BadRequest(Exception):
    """A request that cannot be understood; the message is one sentence for the user."""

    def __init__(self, message: str, turn_id: str = "") -> None:
        super().__init__(message)
        self.turn_id = turn_id


@dataclass(frozen=True, slots=True)
class Say:
    """The user says something. The client chooses `turn_id`, so that a resend does no harm.

    `files` are the names of uploads, or of files of earlier turns: see attachments/taking.py.
    `instead_of` is the turn that this one replaces; `text` None: with the same message.
    """

    text: str | None
    turn_id: uuid.UUID
    files: tuple[str, ...] = ()
    instead_of: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Choose:
    """The user wants to see and to continue from a turn that was replaced."""

    turn_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Stop:
    """The user wants the answer to end here."""

    turn_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Earlier:
    """The page wants older turns, those that began before a version."""

    before: int


@dataclass(frozen=True, slots=True)
class Source:
    """The page wants the Markdown of a turn's answer, to copy it."""

    turn_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Decide:
    """The user approves or rejects a tool's call that waits. What it calls, the log knows."""

    turn_id: uuid.UUID
    call: int
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""


Request = Say | Choose | Stop | Earlier | Source | Decide | Ping


def parse_request(text: str | None, data: bytes | None) -> Request:
    """Return the request in one frame. Raises BadRequest if it cannot be understood."""
    if text is None or data is not None:
        raise BadRequest(_("Only text can be sent here, not binary data."))
    if len(text) > longest_request():
        # Not even parsed: that would delay all other users.
        raise BadRequest(_("This is far too long for one message: send it in parts."))
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest(_("This could not be read: send a JSON object.")) from None
    if not isinstance(fields, dict):
        raise BadRequest(_("This could not be read: send a JSON object."))
    return request_of(fields)


def longest_request() -> int:
    """Return how many characters a request may have, however its text is written."""
    settings = conf.get()
    files = settings.max_files * 2 * _LONGEST_FILE
    return _LONGEST_CHARACTER * settings.max_message_length + files + _ROOM_FOR_THE_REST


def request_of(fields: dict[str, Any]) -> Request:
    """Return the request with these fields. Raises BadRequest if it cannot be understood."""
    turn_id = fields.get("turn_id")
    known = turn_id if isinstance(turn_id, str) and len(turn_id) <= 36 else ""
    kind = fields.get("type")
    allowed = _FIELDS.get(kind) if kind is None or isinstance(kind, str) else None
    if allowed is None:
        raise BadRequest(
            _(
                "There is no such request; the requests are again, choose, stop, earlier, source,"
                " decide and ping."
            ),
            known,
        )
    if unknown := sorted(fields.keys() - allowed - _IGNORED):
        raise BadRequest(
            _("The field {name} is unknown; the fields are {fields}.").format(
                name=json.dumps(unknown[0][:40]), fields=", ".join(sorted(allowed))
            ),
            known,
        )
    match kind:
        case "ping":
            return Ping()
        case "stop":
            return Stop(_turn_id(turn_id))
        case "choose":
            return Choose(_turn_id(turn_id))
        case "again":
            again = _turn_id(fields.get("instead_of"), "instead_of")
            return Say(None, _turn_id(turn_id), instead_of=again)
        case "earlier":
            return Earlier(_version(fields.get("before")))
        case "decide":
            return _decide(fields)
        case "source":
            return Source(_turn_id(turn_id))
    files = _files(fields.get("files"), known)
    text = _text(fields.get("user_text"), known, may_be_empty=bool(files))
    # An empty field of a form is none.
    instead_of = fields.get("instead_of") or None
    if instead_of is not None:
        instead_of = _turn_id(instead_of, "instead_of")
    return Say(text, _turn_id(turn_id or str(uuid.uuid4())), files, instead_of)


def _files(files: Any, turn_id: str) -> tuple[str, ...]:
    if files is None or files == "":
        return ()
    names = files if isinstance(files, list) else [files]
    if not all(isinstance(name, str) and len(name) <= _LONGEST_FILE for name in names):
        raise BadRequest(_("The field files must be a list of names."), turn_id)
    most = conf.get().max_files
    if len(names) > most:
        raise BadRequest(too_many(len(names), most), turn_id)
    if len(set(names)) < len(names):
        raise BadRequest(_("The field files names one file twice."), turn_id)
    return tuple(names)


def too_many(count: int, most: int) -> str:
    """Return the sentence for a message with more files than it may have."""
    sentence = _("There are {count} files; at most {most} can be sent with one message.")
    return sentence.format(count=count, most=most)


def _text(text: Any, turn_id: str, *, may_be_empty: bool) -> str:
    if text is None and may_be_empty:
        return ""
    if not isinstance(text, str):
        raise BadRequest(_("The field user_text must be text."), turn_id)
    if not text.strip() and not may_be_empty:
        raise BadRequest(_("The message is empty: write something first."), turn_id)
    longest = conf.get().max_message_length
    if len(text) > longest:
        raise BadRequest(
            _(
                "The message has {length} characters; at most {longest} can be sent at once."
                " Shorten it or send it in parts."
            ).format(length=len(text), longest=longest),
            turn_id,
        )
    # A browser may send half an emoji; no model and no socket accepts it.
    return wellformed(text)


def _decide(fields: dict[str, Any]) -> Decide:
    call, approved, reason = fields.get("call"), fields.get("approved"), fields.get("reason", "")
    if type(call) is not int or not 0 <= call < 2**31:
        raise BadRequest(_("The field call must be the number of a call, from 0 on."))
    if not isinstance(approved, bool):
        raise BadRequest(_("The field approved must be true or false."))
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise BadRequest(
            _("The field reason must be text of at most {longest} characters.").format(
                longest=LONGEST_REASON
            )
        )
    return Decide(_turn_id(fields.get("turn_id")), call, approved, wellformed(reason.strip()))


def _turn_id(value: Any, name: str = "turn_id") -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise BadRequest(_("The field {name} must be a UUID.").format(name=name)) from None


def _version(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise BadRequest(_("The field before must be a version, a whole number above 0."))
    return value
