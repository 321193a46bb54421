"""A process that can be killed at any moment, and the two pipes between it and its parent.

It is forked, not started anew: Python and Django are loaded already, so that hundreds of them may
live and die within a minute. The parent has no connection to the database at that moment.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

_BUSY_OR_LOCKED = (5, 6)  # SQLite's codes
_LONGEST = select.PIPE_BUF  # What is written at once arrives whole or, after a kill, not at all.


class Wire:
    """The child's end: it tells facts, one JSON object a line, and is given orders."""

    def __init__(self, orders: int, facts: int) -> None:
        self._orders, self._facts = orders, facts
        self._rest = b""
        self.stopping = False

    def tell(self, **fact: Any) -> None:
        line = json.dumps(fact).encode() + b"\n"
        if len(line) > _LONGEST:
            raise ValueError(f"a fact of {len(line)} bytes, but the pipe takes {_LONGEST} at once")
        os.write(self._facts, line)

    def tell_surprise(self, text: str, *marks: str, locked: bool = False) -> None:
        """What should not have happened, to these operations or to none."""
        end = text.encode("ascii", "replace").decode()[-2500:]
        self.tell(surprise=end, marks=marks, locked=locked)

    def tell_error(self, error: Exception, *marks: str) -> None:
        code = getattr(error.__cause__, "sqlite_errorcode", 0)
        text = "".join(traceback.format_exception(error))
        self.tell_surprise(text, *marks, locked=code & 0xFF in _BUSY_OR_LOCKED)

    def orders(self, wait: float | None = 0) -> list[str]:
        """What the parent has said since; waits for it so many seconds, or for ever."""
        if not select.select([self._orders], [], [], wait)[0]:
            return []
        heard = os.read(self._orders, 65536)
        *lines, self._rest = (self._rest + heard).split(b"\n")
        orders = [line.decode() for line in lines]
        # The parent is gone: nobody wants to know the rest.
        self.stopping = self.stopping or not heard or "stop" in orders
        return orders


class Child:
    """The parent's end."""

    def __init__(self, kind: str, label: str, work: Callable[[Wire], None]) -> None:
        self.kind, self.label = kind, label
        self.killed = self.ended = False
        self._rest = b""
        heard, order = os.pipe()
        self._facts, tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _live(work, heard, tell)
        os.close(heard)
        os.close(tell)
        self._orders = order

    def fileno(self) -> int:
        return self._facts

    def facts(self) -> list[dict[str, Any]]:
        """What it has told since; sets `ended` once there will be no more."""
        heard = os.read(self._facts, 65536)
        *lines, self._rest = (self._rest + heard).split(b"\n")
        self.ended = not heard
        return [json.loads(line) for line in lines]

    def bury(self) -> None:
        """Once it has ended, and nobody listens to it any more."""
        os.waitpid(self.pid, 0)
        os.close(self._facts)
        os.close(self._orders)

    def order(self, text: str) -> None:
        if self.ended:
            return
        # If it has just ended, its facts will show it.
        with suppress(BrokenPipeError):
            os.write(self._orders, f"{text}\n".encode())

    def stop(self) -> None:
        self.order("stop")

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)


class _Telling(logging.Handler):
    """A warning in anybody's log is a surprise."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(logging.WARNING)
        self._wire = wire

    def emit(self, record: logging.LogRecord) -> None:
        self._wire.tell_surprise(f"logged by {record.name}: {self.format(record)}")


def _live(work: Callable[[Wire], None], orders: int, facts: int) -> NoReturn:
    """The child's whole life. It must not return into the parent's code, nor end as its parent
    would, which takes servers down and folders away."""
    try:
        # Ctrl+C is for the parent, which ends its children.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Other children's pipes above all: who holds them hides that they have ended.
        low, high = sorted((orders, facts))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        for start, end in ((3, low), (low + 1, high), (high + 1, min(most, 65536))):
            os.closerange(start, end)
        wire = Wire(orders, facts)
        logging.getLogger().addHandler(_Telling(wire))
        try:
            work(wire)
        except BrokenPipeError:
            pass  # The parent is gone.
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent is to know of it.
            wire.tell_error(error)
    except BaseException:  # noqa: BLE001 - there is nobody above us to tell.
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(0)
