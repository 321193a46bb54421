"""Queues of conversations to review: the pages, and the bar above a conversation."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import QueueRefused, UnknownQueue
from ...core.masking.masker import Masker, masker_for
from ...core.wellformed import wellformed
from ...events.models import Actor
from ...events.tables.database import log_database
from ...projections.models import Queue, QueueItem, QueueMark
from ...projections.queues import acts
from ...projections.queues.listing import STATUSES, counts, done_by, items, queue_named
from ...projections.queues.standing import asked_by
from ...projections.travel.speakers import Speakers
from .access import Reviewed, is_reviewer, may_manage_queues, may_resolve, may_review
from .addresses import BadNumber, number_in
from .answers import page, problem, rendered
from .recording import record_look
from .remarks import MASKED_APART, Choice, choices
from .revealing import may_reveal

_SIZE = 50
_NO_CONVERSATION = 0
_FLAGS = 200
"""Flags of the items of one page that are read: the latest ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """A queue, how many items of it have which status, and how many whoever looks has completed."""

    queue: Queue
    counts: Mapping[str, int]
    mine: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def listed(self) -> list[tuple[str, int]]:
        """The statuses that some items have."""
        return [(status, n) for status, n in self.counts.items() if n]


@dataclass(frozen=True, slots=True)
class Flag:
    """Why somebody has flagged an item."""

    by: str
    at: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item, and whether whoever looks may see its conversation."""

    item: Any
    seen: bool
    flags: Sequence[Flag] = ()


@page
def queues(request: HttpRequest) -> HttpResponse:
    """All queues, the newest first."""
    require_reviewer(request)
    try:
        before = number_in(request.GET, "before")
    except BadNumber as error:
        return problem(request, error)
    archived = "archived" in request.GET
    which = Queue.objects.using(log_database()).order_by("-number")
    which = which.filter(state="archived") if archived else which.exclude(state="archived")
    if before is not None:
        which = which.filter(number__lt=before)
    found = list(which[: _SIZE + 1])
    context = {
        "rows": _rows(request.user, found[:_SIZE]),
        "before": found[_SIZE - 1].number if len(found) > _SIZE else None,
        "archived": archived,
        "scores": list(conf.get().scores),
        "manages": may_manage_queues(request.user),
    }
    return rendered(request, "queues", context)


@page
def queue(request: HttpRequest, number: int) -> HttpResponse:
    """One queue: its items by status."""
    require_reviewer(request)
    found = queue_or_404(number)
    try:
        given = {name: number_in(request.GET, name) for name in ("after", "skipped", "further")}
        status = _status(request)
    except (BadNumber, QueueRefused) as error:
        return problem(request, error)
    part = items().filter(stream_id=found.stream_id, place__gt=given["after"] or 0)
    if status:
        part = part.filter(status=status)
    part = part.select_related("conversation__overview", "conversation__user").order_by("place")
    some = list(part[: _SIZE + 1])
    shown = some[:_SIZE]
    seen = [item for item in shown if may_review(request.user, item.conversation)]
    record_look(request, "listed", f"queue {number}", [item.conversation for item in seen])
    [row] = _rows(request.user, [found])
    context = {
        "row": row,
        "queue": found,
        "asked": asked_by(found),
        "items": _item_rows(request.user, shown, {item.pk for item in seen}),
        "status": status,
        "statuses": STATUSES,
        "after": shown[-1].place if len(some) > _SIZE else None,
        "nothing": "nothing" in request.GET,
        "skipped": given["skipped"],
        "further": given["further"],
        "manages": may_manage_queues(request.user),
        "fills": _fills(request.user, found),
    }
    return rendered(request, "queue", context)


@dataclass(frozen=True, slots=True)
class Bar:
    """What whoever looks at a conversation as an item of a queue can do with it."""

    queue: Queue
    item: Any
    total: int
    scores: Sequence[Choice]
    flags: Sequence[Flag]
    previous: int | None
    next: int | None
    until: dt.datetime | None
    done: bool
    resolves: bool
    skipped: int | None = None
    """Items that were passed over on the way here."""

    @property
    def active(self) -> bool:
        return str(self.queue.state) == "active"

    @property
    def may_take(self) -> bool:
        """Whether it can be taken, unless others have it."""
        return self.active and self.item.state == "open" and not self.done

    @property
    def may_complete(self) -> bool:
        return self.may_take and self.until is not None

    @property
    def may_flag(self) -> bool:
        return self.active and self.item.state in ("open", "awaiting", "flagged")

    @property
    def may_resolve(self) -> bool:
        return self.active and self.resolves and self.item.state in ("awaiting", "flagged")

    @property
    def may_put_back(self) -> bool:
        return self.may_resolve and self.item.state == "flagged"


def bar_of(request: HttpRequest, what: Reviewed) -> Bar | None:
    """Return the bar of the queue that an address names; None if it names none, and for those who
    do not work on queues.

    Raises BadNumber, and QueueRefused if the conversation is not in the queue.
    """
    number, conversation = number_in(request.GET, "queue"), what.conversation.pk
    if number is None or not is_reviewer(request.user):
        return None
    try:
        found = queue_named(number)
    except UnknownQueue:
        raise QueueRefused(_("This conversation is not in the queue.")) from None
    now = timezone.now()
    here = items(now).filter(stream_id=found.stream_id)
    item = here.filter(conversation=conversation).first()
    if item is None:
        raise QueueRefused(_("This conversation is not in the queue."))
    marks = QueueMark.objects.using(log_database()).filter(
        stream_id=found.stream_id, conversation=conversation
    )
    mine = Actor.objects.using(log_database()).filter(user=request.user).values("pk")
    of_me = list(marks.filter(actor_id__in=mine, kind__in=("claim", "done")))
    places = QueueItem.objects.using(log_database()).filter(stream_id=found.stream_id)
    around = places.order_by().values_list("conversation_id", flat=True)
    asked = asked_by(found)
    return Bar(
        queue=found,
        item=item,
        total=places.count(),
        scores=[choice for choice in choices() if choice.name in asked],
        flags=_flags({item: what.mask and Masker(conversation, MASKED_APART)}, what.mine)[
            item.conversation_id
        ],
        previous=around.filter(place__lt=item.place).order_by("-place").first(),
        next=around.filter(place__gt=item.place).order_by("place").first(),
        until=next((m.until for m in of_me if m.kind == "claim" and m.until > now), None),
        done=any(mark.kind == "done" for mark in of_me),
        resolves=may_resolve(request.user),
        skipped=number_in(request.GET, "skipped"),
    )


def working(request: HttpRequest, conversation: int) -> None:
    """Keep the item for whoever works on it, if a form says that it is one of a queue.

    Raises BadNumber, QueueRefused, UnknownQueue.
    """
    number = number_in(request.POST, "queue")
    if number is not None:
        acts.renew(number, conversation, by=request.user)


def require_reviewer(request: HttpRequest) -> None:
    """Raise Http404 unless the user is one of those who work on queues."""
    if not is_reviewer(request.user):
        raise Http404


def queue_or_404(number: int) -> Queue:
    """Return a queue. Raises Http404."""
    try:
        return queue_named(number)
    except UnknownQueue:
        raise Http404 from None


def _status(request: HttpRequest) -> str:
    status = request.GET.get("status", "")
    if status and status not in STATUSES:
        raise QueueRefused(
            _("Expected one of %(known)s, found %(state)s: nothing was done.")
            % {"known": ", ".join(STATUSES), "state": wellformed(status)[:40]}
        )
    return status


def _rows(user: Any, found: Sequence[Queue]) -> list[Row]:
    streams = [queue.stream_id for queue in found]
    by_status, mine = counts(streams), done_by(user, streams)
    return [Row(each, by_status[each.stream_id], mine.get(each.stream_id, 0)) for each in found]


def _fills(user: Any, queue: Queue) -> list[dict[str, Any]]:
    """The latest fillings: somebody may have asked for what others must not see."""
    mask = None if may_reveal(user) else masker_for(_NO_CONVERSATION)
    fills = queue.filled
    return [
        {**fill, "query": fill["query"] if mask is None else mask.text(fill["query"])}
        for fill in fills
    ]


def _item_rows(user: Any, shown: Sequence[Any], seen: set[int]) -> list[ItemRow]:
    maskers = {
        item: masker_for(item.conversation_id, MASKED_APART) for item in shown if item.pk in seen
    }
    flags = _flags(maskers, Actor.objects.known(user))
    return [ItemRow(item, item.pk in seen, flags[item.conversation_id]) for item in shown]


def _flags(of: Mapping[QueueItem, Masker | None], mine: uuid.UUID | None) -> dict[int, list[Flag]]:
    """The latest flags of some items of one queue, by conversation: they may quote it, and what
    others say is masked."""
    found: dict[int, list[Flag]] = defaultdict(list)
    maskers = {item.conversation_id: mask for item, mask in of.items()}
    marks = QueueMark.objects.using(log_database()).filter(
        stream_id__in={item.stream_id for item in of}, conversation__in=maskers, kind="flag"
    )
    latest = list(marks.order_by("-version")[:_FLAGS])
    speakers = Speakers(mark.actor_id for mark in latest)
    for mark in reversed(latest):
        mask = None if mark.actor_id == mine else maskers[mark.conversation_id]
        reason = mark.reason if mask is None else mask.text(mark.reason)
        flag = Flag(speakers.name(mark.actor_id), mark.at, reason)
        found[mark.conversation_id].append(flag)
    return found
