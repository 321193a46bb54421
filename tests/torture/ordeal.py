"""The parent: it keeps writers, readers, a worker and open transactions alive, and kills them.

It never sleeps, and looks at no clock to choose a moment: it counts answers. Which process dies
after how many of them is drawn from the seed; where in its work that finds it, nobody knows, for
the others go on.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections

from .child import Child, Wire
from .holder import hold
from .ledger import Ledger
from .reader import follow
from .writer import write

STUCK_SECONDS = 60
TOO_MANY = 30
_MORTAL = {"writer": 12, "reader": 2, "holder": 2, "worker": 1}
"""How likely each kind is to be killed next."""


class Stuck(Exception):
    """It makes no sense to go on."""


class Ordeal:
    """Processes over one database. Whoever is killed is followed by another of its kind."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        name: str,
        seed: int,
        writers: int,
        shared: Sequence[int],
        held: Sequence[Sequence[int]],
        journals: Sequence[Path],
    ) -> None:
        self.ledger = ledger
        self.killed: Counter[str] = Counter()
        self._name = name
        self._choose = random.Random(f"{seed}/{name}")
        self._shared = shared
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._lives: dict[str, Callable[[], None]] = {}
        self._born: Counter[str] = Counter()
        self._answers = self._hooks = 0
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._going = self._killing = True
        self._last_heard = time.monotonic()
        # A child begins with no connection, and must not share ours.
        connections.close_all()
        for _ in range(writers):
            self._bear("writer", partial(write, seed=seed, streams=shared))
        for own in held:
            self._bear("holder", partial(hold, seed=seed, own=own, shared=shared))
        for journal in journals:
            self._bear("reader", partial(follow, seed=seed, path=journal))
        self._bear("worker", _work)
        self._later(self._kill_somebody)
        self._later(self._send_one_turn_to_several)

    def __enter__(self) -> Ordeal:
        return self

    def __exit__(self, *args: Any) -> None:
        self._going = False
        for child in self._children:
            child.kill()
        while self._children:
            self._hear()

    def go_on(self, until: Callable[[], bool]) -> None:
        """Raises Stuck."""
        while not until():
            if len(self.ledger.surprises) >= TOO_MANY:
                raise Stuck(f"given up after {TOO_MANY} errors that nobody expected")
            self._hear()

    def end(self) -> None:
        """Let everybody finish what they are at, and readers see all of it. Raises Stuck."""
        self._killing = False
        # Whoever was killed last is followed by another: a reader has to come to the end.
        self.go_on(lambda: not any(child.killed for child in self._children))
        self._going = False
        for kinds in (("writer", "holder", "worker", "dumper"), ("reader",)):
            for child in self._children:
                if child.kind in kinds:
                    child.stop()
            self.go_on(lambda kinds=kinds: all(c.kind not in kinds for c in self._children))

    def beside(self, kind: str, work: Callable[[Wire], None]) -> Child:
        """Another process, which is not killed."""
        child = Child(kind, kind, work)
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ, child)
        return child

    def _bear(self, kind: str, life: Callable[..., None]) -> None:
        self._born[kind] += 1
        label = f"{self._name}{kind}{self._born[kind]}"
        # The worker is a command, and has no label.
        work = life if kind == "worker" else partial(life, label=label)
        child = Child(kind, label, work)
        self._lives[label] = partial(self._bear, kind, life)
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ, child)

    def _hear(self) -> None:
        heard = self._selector.select(STUCK_SECONDS)
        if heard:
            self._last_heard = time.monotonic()
        elif time.monotonic() > self._last_heard + STUCK_SECONDS:
            raise Stuck(f"nobody has said anything for {STUCK_SECONDS} s: {self._describe()}")
        for key, _ in heard:
            child: Child = key.data
            for fact in child.facts():
                self._note(child, fact)
            if child.ended:
                self._bury(child)

    def _describe(self) -> str:
        return ", ".join(f"{child.label} ({child.pid})" for child in self._children)

    def _note(self, child: Child, fact: dict[str, Any]) -> None:
        if holding := fact.get("holding"):
            # Others may be waiting for a short one, and then there would be no answers to count.
            release = partial(child.order, "release")
            release() if holding == "short" else self._later(release, most=60)
        if not self.ledger.note(child.label, fact):
            return
        self._answers += 1
        due = [act for at, act in self._due if at <= self._answers]
        self._due = [(at, act) for at, act in self._due if at > self._answers]
        for act in due:
            act()

    def _bury(self, child: Child) -> None:
        self._selector.unregister(child)
        self._children.remove(child)
        child.bury()
        self.ledger.ended(child.label)
        live_again = self._lives.pop(child.label, None)
        if self._going and live_again:
            if not child.killed:
                self.ledger.surprises.append(f"{child.label} has ended by itself")
            live_again()

    def _later(self, act: Callable[[], None], most: int = 24) -> None:
        self._due.append((self._answers + self._choose.randint(1, most), act))

    def _kill_somebody(self) -> None:
        if not self._killing:
            return
        self._later(self._kill_somebody)
        [kind] = self._choose.choices(list(_MORTAL), list(_MORTAL.values()))
        if living := self._of(kind):
            self._choose.choice(living).kill()
            self.killed[kind] += 1

    def _send_one_turn_to_several(self) -> None:
        self._later(self._send_one_turn_to_several)
        self._hooks += 1
        turn = f"hook {self._name}{self._hooks} {self._choose.choice(self._shared)}"
        for writer in self._choose.sample(living := self._of("writer"), min(3, len(living))):
            writer.order(turn)

    def _of(self, kind: str) -> list[Child]:
        return [child for child in self._children if child.kind == kind and not child.killed]


def _work(wire: Wire) -> None:
    """The worker, as its command: it knows no orders, but signals."""

    def wait() -> None:
        while not wire.stopping:
            wire.orders(None)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    with open(os.devnull, "w") as nowhere:
        call_command("run_projections", stdout=nowhere)
