"""One transaction of an erasure: what is planned for a conversation and its forks, carried out.

All conversations are locked before anything is read of them, and before any projection.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Q

from ...core.errors import NotStored, TurnInProgress, UnknownTurn
from .. import drafts, hooks, uploads
from ..beside import found, queue_streams, review_of
from ..changes import CHANGES, NAMED_AFTER
from ..log import NewEvent, append
from ..store.confirmed import require_stored
from ..store.dialect import dialect_of
from ..tables.conversation import rows
from ..tables.event import Event
from ..tables.held import require_no_hold
from ..turns import cancel_waiting, close_abandoned
from ..types import NEVER_ERASED, PayloadErased
from ..waiting import open_turn
from . import unused_blobs, unused_texts
from .copies import copies_of, forks_of
from .made_of import decisions_about, summaries_of
from .notes import judged, notes_on
from .past import opening_hash
from .quoting import may_be_given, quoting_turns
from .receipts import ErasedEvent, Receipt, Record
from .same_words import turns_with_words_of

# Versions in one PayloadErased. The trigger reads the list once for each row that is set to NULL.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to erase of one conversation: everything; or `turns`, and the turns of `versions`.

    With `title`, its title too; with `titles`, if it is one of these. With `unless_since`, a turn
    (or everything) stays if something was recorded in it at that time or later, and nothing is
    erased that is not named. Nor is it with `exact`: the turns that may quote the named ones are
    named too, and again in `quoting`.
    With `since`, turns are erased that may quote what was said from that version on, also if that
    is erased already.
    """

    everything: bool = False
    turns: frozenset[uuid.UUID] = frozenset()
    versions: frozenset[int] = frozenset()
    title: bool = False
    titles: frozenset[str] = frozenset()
    unless_since: dt.datetime | None = None
    exact: bool = False
    quoting: frozenset[uuid.UUID] = frozenset()
    since: int = 0


class Target(NamedTuple):
    version: int
    type: str
    turn_id: uuid.UUID | None
    digest: bytes
    gone: bool


@dataclass(slots=True)
class Plan:
    """What is asked for of one conversation; `fresh` is the part that is not erased yet."""

    pk: int
    targets: list[Target]
    quoting: set[uuid.UUID] = field(default_factory=set)
    title: bool = False
    titles: frozenset[str] = frozenset()
    """Titles that events among the targets had given."""

    @property
    def turns(self) -> set[uuid.UUID | None]:
        return {target.turn_id for target in self.targets}

    @property
    def fresh(self) -> list[Target]:
        return [target for target in self.targets if not target.gone]


class Act:
    def __init__(self, actor_id: uuid.UUID | None, reason: str, using: str) -> None:
        self._actor_id = actor_id
        self._reason = reason
        self._using = using
        self._texts: set[str] = set()
        self._blobs: set[str] = set()
        self.files: Sequence[str] = ()
        """The files to delete once the erasure is committed."""

    def plans(self, pk: int, wanted: Wanted) -> list[Plan]:
        """What would be erased, without locks: it may change until then. Raises what `erase` does
        for what may not be erased."""
        return list(self._plans(pk, wanted, lock=False))

    def erase(self, pk: int, wanted: Wanted) -> Receipt:
        # Lock all conversations before any projection, in the order of all code that locks both.
        plans = list(self._plans(pk, wanted))
        done = [self._carry_out(plan) for plan in plans]
        for plan in plans:
            if fresh := plan.fresh:
                events = self._events(plan.pk, [target.version for target in fresh])
                drafts.erase({target.turn_id for target in plan.targets})
                uploads.erase(plan.pk)
                for eraser in hooks.erasers:
                    eraser(plan.pk, events)
        unused_texts.delete_unused(self._texts)
        self.files = unused_blobs.delete_unused(self._blobs)
        return _with_forks(done)

    def preview(self, pk: int, wanted: Wanted) -> Receipt:
        """The receipt of what would be erased."""
        return _with_forks([self._receipt(plan, []) for plan in self._plans(pk, wanted)])

    def _plans(self, pk: int, wanted: Wanted, *, lock: bool = True) -> Iterator[Plan]:
        """Yield the conversation's plan and then, level by level, those of forks with copies; last
        those of queues in which what goes altogether was judged."""
        waiting = [(pk, wanted)]
        judged_too: list[int] = []
        while waiting:
            pk, wanted = waiting.pop(0)
            plan = self._plan(pk, wanted, lock=lock)
            yield plan
            # If nothing here is due any more, leave the titles of the forks alone too.
            titled = (wanted.everything or wanted.title) and (plan.targets or plan.title)
            titles = self._titles(pk) if titled else wanted.titles | plan.titles
            versions = {target.version for target in plan.targets}
            for fork in forks_of(pk):
                copies = frozenset(copies_of(pk, versions, plan.turns, fork))
                # Include the title that the fork began with: the parent's at that time.
                theirs = titles | self._opening_title(fork) if titled else titles
                if copies or theirs & self._titles(fork):
                    waiting.append(
                        (fork, replace(wanted, **_NAMED, versions=copies, titles=theirs))
                    )
            whole = bool(titled and wanted.everything)
            if lock and (review := found(review_of(pk))) is not None:
                # Before it is read: a note that is being written or withdrawn is waited for.
                self._lock([review])
            if notes := notes_on(pk, plan.turns, everything=whole):
                waiting.append((notes.stream, Wanted(versions=notes.versions, exact=True)))
            if whole:
                judged_too.append(pk)
        # In the order of all erasures, and of who completes an item: queues come last.
        if lock and judged_too:
            self._lock(queue_streams())
        queues: dict[int, frozenset[int]] = {}
        for each in (notes for number in judged_too for notes in judged(number)):
            queues[each.stream] = queues.get(each.stream, frozenset()) | each.versions
        for stream in sorted(queues):
            yield self._plan(stream, Wanted(versions=queues[stream], exact=True), lock=lock)

    def _plan(self, pk: int, wanted: Wanted, *, lock: bool) -> Plan:
        if lock:
            # Before anything is read, until the commit: an append, a rebuild or a fork waits
            # meanwhile, and then finds the words erased.
            self._lock([pk])
        if wanted.unless_since is not None:
            wanted = self._still_due(pk, wanted, wanted.unless_since)
        plan = self._with_quoting(pk, wanted)
        if not (plan.fresh or plan.title):
            return plan
        require_no_hold(pk)
        if close_abandoned(pk):
            plan = self._with_quoting(pk, wanted)
        opened = open_turn(pk)
        if opened is not None and (
            opened.turn_id in {target.turn_id for target in plan.fresh}
            or may_be_given(opened.started, [target.version for target in plan.fresh])
        ):
            # Its answer would repeat the words, or be what a model made of them.
            if not opened.waits or opened.turn_id is None:
                raise TurnInProgress(pk, opened.turn_id)
            cancel_waiting(pk, opened.turn_id)
            plan = self._with_quoting(pk, wanted)
        return plan

    def _lock(self, streams: Sequence[int]) -> None:
        with connections[self._using].cursor() as cursor:
            dialect_of(connections[self._using]).lock_streams(cursor, streams)

    def _with_quoting(self, pk: int, wanted: Wanted) -> Plan:
        plan = self._chosen(pk, wanted)
        plan.quoting |= wanted.quoting & plan.turns
        begun = [target.version for target in plan.fresh] + [wanted.since] * bool(wanted.since)
        named_only = wanted.everything or wanted.exact or wanted.unless_since is not None
        if begun and not named_only:
            quoting = quoting_turns(pk, min(begun)) | turns_with_words_of(pk, plan.turns)
            quoting -= plan.turns
            if named := self._named_after(pk, quoting):
                plan = self._chosen(pk, replace(wanted, versions=wanted.versions | named))
            plan.quoting = quoting - plan.turns
            plan.targets += self._of(pk, "turn_id", plan.quoting)
        known = set(plan.targets)
        about = decisions_about(pk, plan.targets) | summaries_of(pk, plan.targets)
        plan.targets = sorted(known.union(self._of(pk, "version", about)))
        return plan

    def _chosen(self, pk: int, wanted: Wanted) -> Plan:
        if wanted.everything:
            return Plan(pk, self._targets(pk, Q()), title=bool(self._title(pk)))
        targets = self._of(pk, "turn_id", wanted.turns)
        if unknown := wanted.turns - {target.turn_id for target in targets}:
            raise UnknownTurn(
                pk, min(unknown), "`manage.py replay_conversation --json` lists the turns' ids"
            )
        named = self._of(pk, "version", wanted.versions)
        whole = {target.turn_id for target in named if target.turn_id} - wanted.turns
        alone = [target for target in named if target.turn_id is None]
        targets += [*alone, *self._of(pk, "turn_id", whole)]
        title = self._title(pk)
        given = self._given_titles(pk)
        chosen = {target.version for target in alone}
        chosen |= self._named_after(pk, {target.turn_id for target in targets})
        titles = wanted.titles | {name for version, name in given.items() if version in chosen}
        titled = title and (wanted.title or title in titles)
        if titled:
            titles |= {title}
        targets += self._of(pk, "version", {v for v, name in given.items() if name in titles})
        return Plan(pk, sorted(set(targets)), title=bool(titled), titles=titles)

    def _still_due(self, pk: int, wanted: Wanted, since: dt.datetime) -> Wanted:
        """What is wanted, without anything that was continued since."""
        later = Event.objects.using(self._using).filter(stream_id=pk, recorded_at__gte=since)
        later = later.exclude(type__in=NEVER_ERASED)
        if wanted.everything:
            return Wanted() if later.exists() else wanted
        return replace(wanted, turns=wanted.turns - set(later.values_list("turn_id", flat=True)))

    def _of(self, pk: int, name: str, values: Iterable[Any]) -> list[Target]:
        ordered = sorted(values)
        found = []
        for start in range(0, len(ordered), _BATCH):
            some = ordered[start : start + _BATCH]
            found += self._targets(pk, Q((f"{name}__in", some)))
        return found

    def _targets(self, pk: int, which: Q) -> list[Target]:
        events = Event.objects.using(self._using).filter(which, stream_id=pk)
        rows = (
            events.exclude(type__in=NEVER_ERASED)
            .annotate(gone=Q(payload__isnull=True))
            .order_by("version")
            .values_list("version", "type", "turn_id", "digest", "gone")
        )
        return [
            Target(v, type_, turn, bytes(digest), gone) for v, type_, turn, digest, gone in rows
        ]

    def _titles(self, pk: int) -> frozenset[str]:
        """A conversation's title now, and all that it has had."""
        return frozenset({self._title(pk), *self._given_titles(pk).values()} - {""})

    def _title(self, pk: int) -> str:
        conversations = rows().filter(pk=pk)
        return conversations.values_list("title", flat=True).get()

    def _opening_title(self, pk: int) -> frozenset[str]:
        return frozenset(name for version, name in self._given_titles(pk).items() if version == 1)

    def _given_titles(self, pk: int) -> dict[int, str]:
        """The titles that events have given, by version; without erased and empty ones."""
        stream = Event.objects.using(self._using).filter(stream_id=pk, payload__isnull=False)
        events = [*stream.filter(version=1), *stream.filter(type__in=CHANGES)]
        titles = {event.version: getattr(event.data, "title", "") for event in events}
        return {version: title for version, title in titles.items() if title}

    def _named_after(self, pk: int, turns: Iterable[uuid.UUID | None]) -> frozenset[int]:
        """The versions of titles that were made from what was said in one of these turns."""
        stream = Event.objects.using(self._using).filter(stream_id=pk, type="TitleChanged")
        gone = {str(turn) for turn in turns if turn}
        named = [event for event in stream if event.meta.get(NAMED_AFTER) in gone] if gone else []
        return frozenset(event.version for event in named)

    def _carry_out(self, plan: Plan) -> Receipt:
        if plan.title:
            require_stored("turnlog_conversation", 1, rows().filter(pk=plan.pk).rewrite(title=""))
            if self._title(plan.pk):
                raise NotStored("turnlog_conversation", "expected no title, found one")
        recorded: list[Event] = []
        versions = [target.version for target in plan.fresh]
        batches = [versions[start : start + _BATCH] for start in range(0, len(versions), _BATCH)]
        # An erased title is recorded as well, even if nothing else is erased.
        for batch in batches or [[]] * plan.title:
            recorded += self._null(plan.pk, batch, title=plan.title and not recorded)
        return self._receipt(plan, recorded)

    def _receipt(self, plan: Plan, recorded: Sequence[Event]) -> Receipt:
        fresh = plan.fresh
        turns = dict.fromkeys(target.turn_id for target in fresh if target.turn_id)
        return Receipt(
            conversation=plan.pk,
            reason=self._reason,
            by=self._actor_id,
            at=recorded[0].recorded_at if recorded else None,
            records=tuple(Record(event.version, bytes(event.hash).hex()) for event in recorded),
            events=tuple(ErasedEvent(t.version, t.type, t.digest.hex()) for t in fresh),
            turns=tuple(turns),
            quoting=tuple(turn for turn in turns if turn in plan.quoting),
            title=plan.title,
            opening=opening_hash(plan.pk),
        )

    def _null(self, pk: int, versions: Sequence[int], title: bool) -> list[Event]:
        events = Event.objects.using(self._using).filter(stream_id=pk, version__in=versions)
        started = events.filter(type="TurnStarted").values_list("payload", flat=True)
        self._texts |= unused_texts.keys_of(started)
        self._blobs |= unused_blobs.keys_used(pk, versions)
        data = PayloadErased(list(versions), self._reason, title)
        recorded = append(pk, [NewEvent(data, actor_id=self._actor_id)])
        require_stored("turnlog_event", len(versions), events.update(payload=None, salt=None))
        unused_blobs.forget_uses(pk, versions)
        # If nothing was recorded before, append() also returns the ConversationOpened.
        return recorded[-1:]

    def _events(self, pk: int, versions: Sequence[int]) -> list[Event]:
        """The events as they are now, without payloads."""
        found: list[Event] = []
        stream = Event.objects.using(self._using).filter(stream_id=pk)
        for start in range(0, len(versions), _BATCH):
            some = stream.filter(version__in=versions[start : start + _BATCH])
            found += some.order_by("version")
        if left := [event.version for event in found if event.payload is not None]:
            what = f"conversation {pk}: expected version {left[0]} without words, found them there"
            raise NotStored("turnlog_event", what)
        return found


# Replaced for forks: what to erase there is named by the versions of the copies.
_NAMED: dict[str, Any] = {
    **{"everything": False, "turns": frozenset(), "title": False},
    **{"exact": False, "quoting": frozenset(), "since": 0},
}


def _with_forks(receipts: Sequence[Receipt]) -> Receipt:
    own, *forks = receipts
    return replace(own, forks=tuple(filter(None, forks)))
