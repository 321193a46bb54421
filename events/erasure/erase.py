"""Erases words from the log, and from everything that was made of them.

An erasure appends `PayloadErased`, sets payload and salt of the named events to NULL, and removes
all copies: those of projections, and those in forks. Digests and hashes stay, so the chain still
verifies. Erased words are gone at every moment of the past.

It erases whole turns only: the answer echoes the question, and the turn's start repeats it. All of
it is one transaction, or nothing is done; a large erasure is several, some turns each, so that
others can write in between.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db import connections, transaction
from django.db.models import Max

from ...core.errors import ErasureIncomplete, ReceiptNotKept, TurnlogError, UnknownTurn
from .. import hooks
from ..beside import found, review_of
from ..store.dialect import dialect_of
from ..store.isolation import is_outermost, locking
from ..store.sqlite import begin_writing
from ..tables.actor import Actor
from ..tables.conversation import require_conversation
from ..tables.database import log_database
from ..tables.event import Event
from . import receipt_files
from .act import Act, Wanted
from .copies import forks_of
from .reasons import require_reason
from .receipts import Receipt, merged
from .unused_blobs import delete_files

# Events that one transaction erases, with their copies: about a second on SQLite, where nobody
# else can write meanwhile.
AT_ONCE = 1000


def erase(
    stream_id: int,
    turns: Iterable[uuid.UUID | str] | None = None,
    by: Any = None,
    reason: str = "",
) -> Receipt:
    """Erase whole turns of a conversation; without `turns`, everything in it and its title.

    `by` is a user, `reason` the request's reference; both stay in the log permanently. Copies in
    forks are erased too. So are later turns that began with messages of a consumer's own making,
    because these may quote the erased ones (see `Receipt.quoting`). If everything is erased
    already, nothing is appended and the receipt is empty.

    Raises ReasonRefused, UnknownConversation, UnknownTurn, LegalHold; TurnInProgress while one of
    the turns is being answered, or a turn whose model may have been given them; ErasureFailed if a
    projection could not erase its copies. In all these cases nothing is erased. Raises
    ReceiptNotKept if the receipt could not be written outside, and FilesNotDeleted if files of
    blobs are still there; then the erasure is done. Raises ErasureIncomplete if a part of a large
    erasure is done, and the rest was prevented meanwhile: its `receipt` says what is erased.
    """
    if turns is None:
        wanted = Wanted(everything=True)
    else:
        wanted = Wanted(turns=frozenset(_turn_id(stream_id, turn) for turn in turns))
    return erase_wanted(stream_id, wanted, by=by, reason=reason)


def erase_wanted(
    pk: int, wanted: Wanted, *, by: Any = None, reason: str, dry_run: bool = False
) -> Receipt:
    """Erase what is wanted. `by` is a user or an actor id. Raises the same errors as `erase`.

    With `dry_run`, nothing is erased; the receipt, without records, says what would be.
    """
    reason = require_reason(reason)
    require_conversation(pk)
    if dry_run:
        with _acting(by, reason) as act:
            receipt = act.preview(pk, wanted)
            transaction.set_rollback(True, using=log_database())
        return receipt
    done: list[Receipt] = []
    unkept: ReceiptNotKept | None = None
    parts, several = _parts(pk, wanted, reason)
    try:
        with _leaving_the_end(pk) if several else contextlib.nullcontext():
            for part in parts:
                try:
                    done.append(_erase_part(pk, part, by, reason))
                except ReceiptNotKept as error:
                    unkept = error  # The erasure itself is done.
                    done.append(error.receipt)
    except TurnlogError as error:
        if not any(done):
            raise
        raise ErasureIncomplete([error], merged(done)) from error
    receipt = merged(done)
    if unkept is not None:
        raise type(unkept)(str(unkept), receipt)
    return receipt


def _erase_part(pk: int, wanted: Wanted, by: Any, reason: str) -> Receipt:
    with _acting(by, reason) as act:
        receipt = act.erase(pk, wanted)
        if receipt:
            # After the commit: a receipt of a rolled back erasure would be false.
            transaction.on_commit(lambda: _conclude(receipt, act.files), using=log_database())
    return receipt


def _conclude(receipt: Receipt, files: Sequence[str]) -> None:
    try:
        receipt_files.keep(receipt)
    finally:
        delete_files(files, receipt)


@contextmanager
def _acting(by: Any, reason: str) -> Iterator[Act]:
    using = log_database()
    with locking(using):
        begin_writing()
        actor_id = by if isinstance(by, uuid.UUID) else Actor.objects.keep(by)
        yield Act(actor_id, reason, using)


@contextmanager
def _leaving_the_end(pk: int) -> Iterator[None]:
    """Let projections do once, at the end, what takes as long as the conversation is."""
    left: set[str] = set()
    token = hooks.later.set(left)
    try:
        yield
    except TurnlogError:
        hooks.later.set(None)
        _finish(pk, left)
        raise
    else:
        hooks.later.set(None)
        _finish(pk, left)
    finally:
        hooks.later.reset(token)


def _finish(pk: int, left: set[str]) -> None:
    using = log_database()
    streams = [pk]
    for each in streams:
        streams += [fork for fork in forks_of(each) if fork not in streams]
    # Their notes are erased with the words; a side stream has no forks.
    beside = [*filter(None, [found(review_of(each)) for each in streams])]
    with locking(using):
        with connections[using].cursor() as cursor:
            # In the order of all who lock both.
            for some in filter(None, (streams, beside)):
                dialect_of(connections[using]).lock_streams(cursor, some)
        for finisher in hooks.finishers:
            finisher([*streams, *beside], left)


def _parts(pk: int, wanted: Wanted, reason: str) -> tuple[list[Wanted], bool]:
    """What to erase in a transaction each: in all but the last, some turns; and whether there is an
    end to be done: of several parts, or of those that another process did not finish.

    The last one is all that is wanted, again: whatever was said meanwhile, and what has no turn.
    Raises, before anything is erased, what `Act.plans` raises.
    """
    using = log_database()
    stream = Event.objects.using(using).filter(stream_id=pk)
    head = stream.aggregate(head=Max("version"))["head"] or 0
    if head <= AT_ONCE or not is_outermost(connections[using]):
        return [wanted], False
    plan, *of_forks = Act(None, reason, using).plans(pk, wanted)
    fresh = plan.fresh
    # A part's copies are erased with it.
    size = max(1, AT_ONCE // (1 + len(of_forks)))
    if len(fresh) <= size:
        return [wanted], not fresh
    count = Counter(target.turn_id for target in fresh)
    parts: list[set[uuid.UUID]] = [set()]
    left = size
    for turn_id in filter(None, dict.fromkeys(target.turn_id for target in fresh)):
        if parts[-1] and count[turn_id] > left:
            parts.append(set())
            left = size
        parts[-1].add(turn_id)
        left -= count[turn_id]
    some = Wanted(exact=True, quoting=frozenset(plan.quoting), unless_since=wanted.unless_since)
    named = [replace(some, turns=frozenset(part)) for part in parts if part]
    return [*named, replace(wanted, since=fresh[0].version)], True


def _turn_id(pk: int, turn: uuid.UUID | str) -> uuid.UUID:
    if isinstance(turn, uuid.UUID):
        return turn
    try:
        return uuid.UUID(turn)
    except (AttributeError, TypeError, ValueError):
        raise UnknownTurn(pk, repr(turn), "a turn's id is a UUID") from None
