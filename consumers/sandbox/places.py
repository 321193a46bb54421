"""Which worker belongs to which conversation and person, in this process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from dataclasses import replace

from ...core import conf
from ...core.errors import SandboxRefused
from . import standing
from .keeper import Keeper
from .outcome import Outcome, Table
from .pipe import Broken, Late
from .seats import Call, Seat
from .standing import Tier
from .worker import Worker

Place = tuple[Hashable, Hashable]
"""A conversation's place (`live.place_of`), and the person who owns the worker."""

LONGEST_CODE = 200_000
"""Characters of code."""

_RESTARTED = "The sandbox was started again: the variables of earlier code are gone."
_ENDED = "the sandbox of this conversation has been ended"
_OTHER_TABLE = "The table has changed: the variables of earlier code are gone."


class Places:
    """The workers of this process, at most `SANDBOX_WORKERS`, by their places."""

    def __init__(self) -> None:
        self._keeper = Keeper(self.end_idle)
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A forked process must not use or end its parent's workers; they end with the parent.
        self._left_to_parent = getattr(self, "_seats", None), getattr(self, "_spare", None)
        self._lock = threading.Lock()
        self._choosing = threading.Lock()
        self._seats: dict[Place, Seat] = {}
        self._tier: Tier | None = None
        self._spare: Worker | None = None

    @property
    def tier(self) -> Tier | None:
        """The tier of this process's workers; None as long as none was started."""
        return self._tier

    def taken(self) -> frozenset[Place]:
        """Return the places that have a worker, or are getting one."""
        with self._lock:
            return frozenset(self._seats)

    def run(
        self, place: Place, code: str, table: Table | None, seconds: float, call: Call
    ) -> Outcome:
        """Run code in the worker of a place, which is started if need be. Raises
        SandboxRefused."""
        if len(code) > LONGEST_CODE:
            raise SandboxRefused(
                f"expected code of at most {LONGEST_CODE:,} characters, found {len(code):,}"
            )
        while True:
            seat = self._seat(place)
            with seat.taken(seconds):
                if call.is_stopped:
                    raise SandboxRefused("the code was stopped before it ran")
                if not seat.is_ended:
                    return self._run(seat, code, table, seconds, call)

    def end(self, place: Place) -> None:
        """End the worker of a place, and whatever runs in it."""
        self._end([place])

    def end_conversation(self, conversation: Hashable) -> None:
        """End the workers that a conversation has, whoever owns them."""
        with self._lock:
            theirs = [place for place in self._seats if place[0] == conversation]
        self._end(theirs)

    def end_all(self) -> None:
        """End every worker of this process."""
        with self._lock:
            everywhere, spare = list(self._seats), self._spare
            self._spare = None
        self._end(everywhere)
        if spare is not None:
            spare.end()

    def end_idle(self) -> None:
        """End the workers that nobody has used for `SANDBOX_IDLE` seconds."""
        oldest = time.monotonic() - conf.get().sandbox_idle
        with self._lock:
            idle = [p for p, s in self._seats.items() if s.used < oldest and not s.is_busy]
            spare = self._spare if len(idle) == len(self._seats) else None
            if spare is not None:
                self._spare = None
        self._end(idle)
        if spare is not None:
            spare.end()

    def _end(self, places: list[Place]) -> None:
        with self._lock:
            seats = [seat for place in places if (seat := self._seats.pop(place, None))]
            for seat in seats:
                seat.is_ended = True
        for seat in seats:
            if (worker := seat.worker) is not None:
                worker.kill()
            # Whatever runs there finds that its worker has ended, and whoever starts one finds that
            # the seat has: nobody waits for them here, where it may be a request that ends it.
            seat.empty_if_ended()

    def _seat(self, place: Place) -> Seat:
        """Return a place's seat; make room for it if there is none. Raises SandboxRefused."""
        settings = conf.get()
        while True:
            with self._lock:
                if place in self._seats:
                    return self._seats[place]
                theirs = [each for each in self._seats if each[1] == place[1]]
                if len(theirs) >= settings.sandbox_workers_per_user:
                    leaving = self._longest_idle(theirs, "you have too many analyses")
                elif len(self._seats) >= settings.sandbox_workers:
                    leaving = self._longest_idle(list(self._seats), "too many analyses are")
                else:
                    return self._seats.setdefault(place, Seat())
            self._end([leaving])

    def _longest_idle(self, places: list[Place], who: str) -> Place:
        idle = [place for place in places if not self._seats[place].is_busy]
        if not idle:
            raise SandboxRefused(f"{who} under way here: wait until one of them ends")
        return min(idle, key=lambda place: self._seats[place].used)

    def _run(
        self, seat: Seat, code: str, table: Table | None, seconds: float, call: Call
    ) -> Outcome:
        notice = ""
        worker = seat.worker
        wanted = table.digest if table is not None else ""
        if worker is not None and (not worker.is_alive or worker.digest != wanted):
            notice = _OTHER_TABLE if worker.is_alive else _RESTARTED
            seat.empty()
            worker = None
        if worker is None:
            worker = seat.worker = self._take()
        if seat.is_ended:
            seat.empty()
            raise SandboxRefused(_ENDED)
        call.begin(worker)
        try:
            if table is not None and worker.digest != wanted:
                worker.load(table)
            outcome, is_usable = worker.run(code, seconds)
        except Late:
            seat.empty()
            error = f"TimeoutError: the code ran for longer than {seconds:g} seconds"
            return Outcome(error=error, notice=_RESTARTED)
        except Broken as broken:
            seat.empty()
            if seat.is_ended:
                raise SandboxRefused(_ENDED) from broken
            return Outcome(error=f"SandboxError: {broken}", notice=_RESTARTED)
        except BaseException:
            # Also what nobody foresaw: the next code must not get a worker in the middle of this.
            seat.empty()
            raise
        finally:
            call.done()
        if not is_usable:
            seat.empty()
            notice = "The code left threads running. " + _RESTARTED
        return replace(outcome, notice=" ".join(filter(None, [notice, outcome.notice])))

    def _take(self) -> Worker:
        """Return a new worker: the spare one, if there is one."""
        with self._lock:
            worker, self._spare = self._spare, None
        if worker is not None and not worker.is_alive:
            worker.end()
            worker = None
        if worker is None:
            worker = self._start()
        if conf.get().sandbox_spare:
            threading.Thread(
                target=self._provide, name="turnlog-sandbox-spare", daemon=True
            ).start()
        return worker

    def _provide(self) -> None:
        """Start the worker that the next conversation gets: importing pandas takes a second."""
        try:
            worker = self._start()
        except SandboxRefused:
            return  # The one who needs it tries again, and is told.
        with self._lock:
            if self._spare is None and self._seats:
                self._spare = worker
                return
        worker.end()

    def _start(self) -> Worker:
        # The tier is found out once: others wait, and then start theirs at the same time.
        with self._choosing:
            if self._tier is None:
                self._tier, worker = standing.first_worker(self._keeper.call)
                return worker
        return standing.another_worker(self._tier, self._keeper.call)
