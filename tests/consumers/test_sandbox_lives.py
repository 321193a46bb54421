"""How workers end: by the code, by the server, and with it; and how many there are."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from turnlog.consumers.sandbox import answers, running, standing
from turnlog.consumers.sandbox.outcome import Outcome
from turnlog.consumers.sandbox.places import Places
from turnlog.consumers.sandbox.seats import Call
from turnlog.core.errors import SandboxRefused

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.slow_once

PLACE = ("here", "ada")
RESTARTS = {
    "it exits": "import os\nos._exit(0)",
    "it stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "it crashes": "import ctypes\nctypes.string_at(0)",
    "it leaves a thread": "import _thread, time\n_thread.start_new_thread(time.sleep, (99,))",
    "it writes an answer itself": (
        "import os\n"
        "for file in range(3, 20):\n"
        "    try: os.write(file, b'\\x00\\x00\\x00\\x02{}')\n"
        "    except OSError: pass"
    ),
    "it announces too much": (
        "import os\n"
        "for file in range(3, 20):\n"
        "    try: os.write(file, b'\\xff\\xff\\xff\\xff')\n"
        "    except OSError: pass"
    ),
}
HARMLESS = {
    "it raises SystemExit": "raise SystemExit",
    "it registers an exit": "import atexit, os\natexit.register(os.abort)",
    "it closes what it prints to": "import sys\nsys.stdout.close()\nsys.stderr.close()",
    "it writes where prints go": "import os\nos.write(1, b'\\0\\0\\0\\2{}')\nos.write(2, b'x')",
    "its result cannot be shown": ("class C:\n    def __repr__(self): raise SystemExit\nC()"),
    "its error cannot be shown": (
        "class C(Exception):\n    def __str__(self): raise SystemExit\nraise C"
    ),
    "its result has no end": "a = []\na.append(a)\na",
    "it is not Python": "SELECT 1",
    "it nests too deep": "(" * 5000 + ")" * 5000,
    "it has a NUL": "a = 1\0",
    "it is empty": "",
}


@pytest.fixture(autouse=True)
def _only_python(settings: Any) -> None:
    """Workers without pandas start five times as fast."""
    settings.TURNLOG = {"SANDBOX_LIBRARIES": [], "SANDBOX_SPARE": False}


@pytest.fixture
def places() -> Iterator[Places]:
    opened = Places()
    yield opened
    opened.end_all()


def run(places: Places, code: str, place: Any = PLACE, seconds: float = 10.0) -> Outcome:
    return places.run(place, code, None, seconds, Call())


def test_code_that_ends_its_worker_gets_another(places: Places) -> None:
    for name, code in RESTARTS.items():
        run(places, "kept = 1")
        outcome = run(places, code, seconds=1.0)
        assert "started again" in outcome.notice, name
        after = run(places, "'kept' in globals()")
        assert (after.value, after.notice) == (False, ""), name


def test_code_that_means_to_and_does_not(places: Places) -> None:
    run(places, "kept = 1")
    for name, code in HARMLESS.items():
        outcome = run(places, code)
        assert outcome.notice == "", name
        assert run(places, "kept").value == 1, name


def test_what_is_printed_and_returned_is_bounded(places: Places) -> None:
    outcome = run(places, "for _ in range(100): print('x' * 10**6)\nlist(range(10**6))")
    assert len(outcome.printed) == 20_000
    assert outcome.value == list(range(20_000))
    assert outcome.notice.count("than what comes back") == 2


def test_one_person_has_two_and_the_process_eight(places: Places, settings: Any) -> None:
    few = {"SANDBOX_WORKERS": 2, "SANDBOX_WORKERS_PER_USER": 1}
    settings.TURNLOG = {**settings.TURNLOG, **few}
    run(places, "a = 1", ("one", "ada"))
    run(places, "a = 1", ("two", "ada"))
    assert run(places, "'a' in globals()", ("two", "ada")).value is True
    run(places, "a = 1", ("one", "bob"))
    # Ada's first worker made room for her second one, and not for Bob's.
    assert run(places, "'a' in globals()", ("two", "ada")).value is True
    with places._seats["two", "ada"].lock, places._seats["one", "bob"].lock:
        with pytest.raises(SandboxRefused, match="too many analyses are under way"):
            run(places, "1", ("one", "eve"))
        with pytest.raises(SandboxRefused, match="you have too many analyses under way"):
            run(places, "1", ("three", "ada"))


def test_a_worker_is_another_persons_never(places: Places) -> None:
    run(places, "mine = 1", ("one", "ada"))
    assert run(places, "'mine' in globals()", ("one", "bob")).value is False
    places.end_conversation("one")
    assert run(places, "'mine' in globals()", ("one", "ada")).value is False


def test_an_idle_worker_ends(places: Places, settings: Any) -> None:
    settings.TURNLOG = {**settings.TURNLOG, "SANDBOX_IDLE": 1e-9}
    run(places, "a = 1")
    process = places._seats[PLACE].worker._started.process  # type: ignore[union-attr]
    places.end_idle()
    assert process.returncode is not None
    assert places._seats == {}


def test_who_ends_a_worker_that_is_being_started_does_not_wait(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, has_ended = threading.Event(), threading.Event()
    first_worker, workers = standing.first_worker, []

    def slowly(start: standing.Start) -> Any:
        tier, worker = first_worker(start)
        workers.append(worker)
        started.set()
        assert has_ended.wait(30), "the one who ends it waits for the start"
        return tier, worker

    monkeypatch.setattr(standing, "first_worker", slowly)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(run, places, "1")
        started.wait()
        places.end(PLACE)
        has_ended.set()
        with pytest.raises(SandboxRefused, match="has been ended"):
            call.result()
    assert not workers[0].is_alive
    assert places.taken() == frozenset()


def test_a_worker_that_is_ended_while_somebody_has_its_seat_ends_when_they_leave(
    places: Places,
) -> None:
    run(places, "a = 1")
    seat = places._seats[PLACE]
    worker = seat.worker
    assert worker is not None
    with ThreadPoolExecutor(1) as threads, seat.taken(1.0):
        threads.submit(places.end, PLACE).result(20)
    assert seat.worker is None
    assert not worker.is_alive


def test_a_worker_whose_answer_nobody_foresaw_is_not_used_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(places, "mine = 1")
    with monkeypatch.context() as patch:
        patch.setattr(answers, "value_of", lambda document, rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(places, "mine")
    assert run(places, "'mine' in globals()").value is False


async def test_a_call_that_is_cancelled_ends_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Places()
    monkeypatch.setattr(running, "_places", opened)
    await running.run(PLACE, "a = 1", table=None, seconds=10)
    process = opened._seats[PLACE].worker._started.process  # type: ignore[union-attr]
    deaf = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    task = asyncio.ensure_future(running.run(PLACE, deaf, table=None, seconds=60))
    while not opened._seats[PLACE].is_busy:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(process.wait, 20) != 0
    await asyncio.to_thread(opened.end_all)


@pytest.mark.parametrize("tier", ["the best here", "reduced"])
def test_workers_end_with_a_server_that_is_killed(tier: str) -> None:
    """Also while their code runs; the server is a process of its own, and gets SIGKILL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.consumers.sandboxed.server", tier],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TURNLOG_SIGNING_KEY": "the password", "PYTHONUTF8": "1"},
    )
    assert server.stdout is not None
    workers = [int(pid) for pid in server.stdout.readline().split()]
    for pid in workers:
        # bubblewrap's own environment counts, too: its process is the first in the box.
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        names = {line.partition(b"=")[0] for line in environment.split(b"\0") if line}
        assert names <= {b"LC_ALL", b"MALLOC_ARENA_MAX", b"PWD"}
    watched = [os.pidfd_open(pid) for pid in workers]
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    for file in watched:
        wait_for_end(file)


def wait_for_end(file: int) -> None:
    """Wait until the kernel says that a process has ended."""
    look = select.poll()
    look.register(file, select.POLLIN)
    assert look.poll(20_000), "the worker has outlived its server"
    os.close(file)
