"""Exports: what a search finds as CSV or JSON, and a conversation as a bundle with its proof."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest
from django.utils.translation import gettext as _

from ...core.errors import TurnlogError
from ...core.masking.masker import Masker
from ...core.wellformed import wellformed
from ...events.models import Actor, Conversation, Event
from ...events.proof.bundle import Selection, Written, seeing_erasures, write_bundle
from ...events.proof.keys import known_keys
from ...events.proof.notes import PublicKey
from ...events.proof.selecting import select
from ...events.tables.database import log_database
from ...projections.models import Overview, Remark, SearchEntry
from ...projections.queues.blind import seen_by
from ...projections.travel.speakers import Speakers
from .access import may_resolve, may_review, reviewed_by, sees_everybody, title_in_list, title_of
from .answers import acting
from .listing import found_for
from .recording import record_look
from .remarks import MASKED_APART
from .revealing import may_reveal

PERMISSION = "turnlog_events.export_log"

MOST_CONVERSATIONS, MOST_ROWS = 10_000, 200_000
"""What one export may hold; for more there is the command `export_log`."""
MOST_EVENTS = 50_000
"""Events of a conversation that a page makes a bundle of."""

_PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class ExportRefused(TurnlogError, ValueError):
    """Something that is not exported: the sentence says why."""


Row = Mapping[str, Any]


def may_export(user: Any) -> bool:
    """Return whether a user may take conversations out of the room."""
    return bool(user.is_active and user.has_perm(PERMISSION) and sees_everybody(user))


@acting
def export(request: HttpRequest) -> FileResponse:
    """What a search finds: conversations, what was said in them, or what reviewers wrote.

    Personal data is masked, unless somebody who may reveal it asks for it.
    """
    if not may_export(request.user):
        raise PermissionDenied
    what, form = request.POST.get("what", ""), request.POST.get("form", "")
    if what not in _CONTENTS or form not in _FORMS:
        raise ExportRefused(
            _("Expected %(what)s as %(form)s, found %(found)s.")
            % {
                "what": ", ".join(_CONTENTS),
                "form": ", ".join(_FORMS),
                "found": wellformed(f"{what} {form}"[:64]),
            }
        )
    unmasked = "unmasked" in request.POST
    if unmasked and not may_reveal(request.user):
        raise PermissionDenied
    query = request.POST.get("q", "")
    found = _found(request.user, query)
    record_look(
        request,
        "exported",
        f"{what}, {form}{', unmasked' if unmasked else ''}",
        [row.conversation for row in found],
        query=query,
        reason=request.POST.get("reason", ""),
    )
    rows = _bounded(_CONTENTS[what](request.user, found, unmasked))
    fill = partial(_as_text, partial(_FORMS[form], rows))
    return _download(f"turnlog-{what}.{form}", fill)


@acting
def bundle(request: HttpRequest, pk: int) -> FileResponse:
    """A conversation with the proof that it is in the log: exactly as it was recorded."""
    room = reviewed_by(request.user, pk).conversation
    # Nothing in it can be masked: its hashes would not hold.
    if not (may_export(request.user) and may_reveal(request.user)):
        raise PermissionDenied
    if Event.objects.using(log_database()).filter(stream_id=pk, version=MOST_EVENTS + 1).exists():
        raise ExportRefused(
            _("Expected a conversation of at most %(most)d events: use the command export_log.")
            % {"most": MOST_EVENTS}
        )
    reason = request.POST.get("reason", "")
    record_look(request, "exported", "bundle", [room], reason=reason)
    selection, known = select([pk]), known_keys([])

    def fill(file: IO[bytes]) -> None:
        seeing_erasures(partial(_write_anew, file, selection, known))

    return _download(f"conversation-{pk}.jsonl", fill)


def _write_anew(file: IO[bytes], selection: Selection, known: Sequence[PublicKey]) -> Written:
    file.seek(0)
    file.truncate()
    return write_bundle(file, selection, known)


def _found(user: Any, query: str) -> list[Overview]:
    """All that a query means, if it is not too much. Raises QueryError, ExportRefused."""
    rows: list[Overview] = []
    after = ""
    while True:
        page = found_for(user, query, after=after, size=_PAGE)
        rows += [row for row in page.rows if may_review(user, row.conversation)]
        if len(rows) > MOST_CONVERSATIONS:
            raise ExportRefused(
                _("Expected at most %(most)d conversations, found more: narrow the search.")
                % {"most": MOST_CONVERSATIONS}
            )
        if not page.after:
            return rows
        after = page.after


def _conversations(user: Any, found: Sequence[Overview], unmasked: bool) -> Iterator[Row]:
    for row in found:
        room = row.conversation
        yield {
            "conversation": room.pk,
            "title": _title(user, room, unmasked),
            "owner": str(room.user or ""),
            "first_activity": row.began_at.isoformat(),
            "last_activity": row.last_at.isoformat(),
            "version": row.head,
            "turns": row.turns,
            "failures": row.failures,
            "tokens": row.tokens,
            "tool_calls": row.tool_calls,
            "models": ", ".join(row.answered_by),
            "held": row.held,
        }


def _messages(user: Any, found: Sequence[Overview], unmasked: bool) -> Iterator[Row]:
    """What was said, as the search has it: also what was cleared, not what was erased."""
    entries = SearchEntry.objects.using(log_database())
    for entry, who, readable in _of(user, entries, found, unmasked):
        yield {
            "conversation": entry.conversation_id,
            "version": entry.version,
            "turn": str(entry.turn_id or ""),
            "at": entry.created_at.isoformat(),
            "role": entry.role,
            "who": who,
            "text": readable(entry.text),
        }


def _remarks(user: Any, found: Sequence[Overview], unmasked: bool) -> Iterator[Row]:
    """What a user may see of what reviewers wrote: notes, scores and sign-offs."""
    written = Remark.objects.using(log_database())
    seen = seen_by(user, written, resolves=may_resolve(user))
    for remark, who, readable in _of(user, seen, found, unmasked, MASKED_APART):
        yield {
            "conversation": remark.conversation_id,
            "turn": str(remark.turn_id or ""),
            "at": remark.at.isoformat(),
            "who": who,
            "kind": remark.kind,
            "score": remark.name,
            "value": json.loads(remark.value or "null"),
            "until": remark.until,
            "text": readable(remark.text),
            "quote": readable(remark.quote),
        }


def _of(
    user: Any, rows: QuerySet[Any], found: Sequence[Overview], unmasked: bool, purpose: str = ""
) -> Iterator[tuple[Any, str, Callable[[str], str]]]:
    """Yield the rows of these conversations in order, each with whose it is, and with what makes a
    text of it readable: nobody's own words are masked for them."""
    speakers = Speakers()
    own = Actor.objects.known(user)
    for start in range(0, len(found), _PAGE):
        some = [row.pk for row in found[start : start + _PAGE]]
        masks = {pk: str if unmasked else Masker(pk, purpose).text for pk in some}
        ordered = rows.filter(conversation__in=some).order_by("conversation_id", "version")
        for part in _batches(ordered.iterator(chunk_size=_PAGE)):
            speakers.look_up(row.actor_id for row in part)
            for row in part:
                is_own = own is not None and row.actor_id == own
                readable = str if is_own else masks[row.conversation_id]
                yield row, speakers.name(row.actor_id), readable


def _title(user: Any, room: Conversation, unmasked: bool) -> str:
    return title_of(room, None) if unmasked else title_in_list(user, room)


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(rows, _PAGE)):
        yield some


def _bounded(rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            raise ExportRefused(
                _("Expected at most %(most)d rows, found more: narrow the search.")
                % {"most": MOST_ROWS}
            )
        yield row


def _download(name: str, fill: Callable[[IO[bytes]], object]) -> FileResponse:
    """A file that is whole before anything is sent: what goes wrong on the way is a page."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        fill(file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    response = FileResponse(file, as_attachment=True, filename=name)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _as_text(fill: Callable[[IO[str]], object], file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    fill(text)
    text.detach()  # It would close the file.


def _csv(rows: Iterator[Row], file: IO[str]) -> None:
    file.write("\ufeff")  # Excel takes it for UTF-8 only with this.
    first = next(rows, None)
    if first is None:
        return
    writer = csv.DictWriter(file, list(first))
    writer.writeheader()
    for row in (first, *rows):
        writer.writerow({name: safe_cell(value) for name, value in row.items()})


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" \n").startswith(_FORMULA) else value


def _json(rows: Iterator[Row], file: IO[str]) -> None:
    file.write("[")
    for number, row in enumerate(rows):
        file.write(",\n" if number else "\n")
        json.dump(row, file, ensure_ascii=False)
    file.write("\n]\n")


_CONTENTS = {"conversations": _conversations, "messages": _messages, "remarks": _remarks}
_FORMS = {"csv": _csv, "json": _json}
