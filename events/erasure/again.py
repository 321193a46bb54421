"""Applies receipts again: a restored backup brings back what was erased after it was made."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.errors import ReceiptRefused, TurnlogError
from ..tables.conversation import rows
from ..tables.database import log_database
from ..tables.event import Event
from .act import Wanted
from .erase import erase_wanted
from .forgetting import forget_again
from .past import opening_hash
from .receipts import Forgotten, Receipt

_IN_ONE_QUERY = 500


@dataclass(slots=True)
class Again:
    """The result of applying receipts: how many events were erased now (with new receipts), were
    erased already, or are absent because this log is older; and how many users were forgotten."""

    erased: int = 0
    already: int = 0
    absent: int = 0
    forgotten: int = 0
    receipts: list[Receipt] = field(default_factory=list)
    errors: list[TurnlogError] = field(default_factory=list)


def erase_again(receipt: Receipt | Forgotten) -> Again:
    """Erase again what a receipt names, in its conversation and in the forks; or forget again the
    user that it names.

    Erases an event only if its digest is the receipt's. Another event with that version belongs to
    another log, or was said since. Errors are returned in `errors`; all else is erased.
    """
    again = Again()
    if isinstance(receipt, Forgotten):
        try:
            again.forgotten += forget_again(receipt)
        except TurnlogError as error:
            again.errors.append(error)
        return again
    for each in receipt.whole():
        _erase_again(each, again)
    return again


def _erase_again(receipt: Receipt, again: Again) -> None:
    pk = receipt.conversation
    if not rows().filter(pk=pk).exists():
        again.absent += len(receipt.events)
        return
    if opening_hash(pk) not in ("", receipt.opening):
        again.errors.append(_other(receipt, 1))
        return
    stored = _stored(receipt)
    versions = set()
    for event in receipt.events:
        if event.version not in stored:
            again.absent += 1
        elif stored[event.version][0] != event.digest:
            again.errors.append(_other(receipt, event.version))
            return
        elif stored[event.version][1]:
            again.already += 1
        else:
            versions.add(event.version)
    # If the log has the record, this title was erased then, and a title now was given later.
    title = receipt.title and not _is_recorded(receipt)
    wanted = Wanted(versions=frozenset(versions), title=title)
    try:
        made = erase_wanted(pk, wanted, by=receipt.by, reason=receipt.reason)
    except TurnlogError as error:
        again.errors.append(error)
        made = getattr(error, "receipt", None) or Receipt(pk, receipt.reason)
    again.erased += sum(len(each.events) for each in made.whole())
    if made:
        again.receipts.append(made)


def _stored(receipt: Receipt) -> dict[int, tuple[str, bool]]:
    """By version: the event's digest in hex, and whether its payload is gone."""
    stream = Event.objects.using(log_database()).filter(stream_id=receipt.conversation)
    versions = [event.version for event in receipt.events]
    found = {}
    for start in range(0, len(versions), _IN_ONE_QUERY):
        some = stream.filter(version__in=versions[start : start + _IN_ONE_QUERY])
        for version, digest, salt in some.values_list("version", "digest", "salt"):
            found[version] = bytes(digest).hex(), salt is None
    return found


def _is_recorded(receipt: Receipt) -> bool:
    records = Event.objects.using(log_database()).filter(stream_id=receipt.conversation)
    return any(
        bytes(hash_).hex() == record.hash
        for record in receipt.records
        for hash_ in records.filter(version=record.version).values_list("hash", flat=True)
    )


def _other(receipt: Receipt, version: int) -> ReceiptRefused:
    return ReceiptRefused(
        f"conversation {receipt.conversation}, version {version}: expected the event that the"
        " receipt names, found one with another digest; the receipt belongs to another log, or"
        " something else was said there since; nothing that this receipt names was erased"
    )
