"""Prints turnlog's figures against raw psycopg on the same PostgreSQL, in one run.

python -m tests.benchmarks.run [part of a figure's name]
"""

from __future__ import annotations

import sys

from . import setting  # isort: skip - sets Django up before anything imports models
from django.contrib.auth import get_user_model
from django.test.utils import setup_databases, teardown_databases

from . import (
    following,
    growing,
    pictures,
    proving,
    rebuilding,
    recording,
    reviewing,
    sandboxing,
    storing,
    travelling,
)
from .crowd import measuring as crowd

FIGURES = [
    ("one turn recorded, p50, times raw", recording.alone, "at most", 1.4),
    ("one turn started and recorded, times raw", recording.started, "at most", 2.7),
    ("8 clients recording, of raw's rate", recording.by_many, "at least", 0.6),
    ("8 writers in one conversation, of raw's", recording.in_one, "at least", 0.5),
    ("a turn with a 5 MB picture recorded, times raw", pictures.recording, "at most", 2.0),
    ("bytes per turn, times raw", storing.bytes_a_turn, "at most", 2.0),
    ("previous messages of 2,000 turns, times raw", recording.loading, "at most", 1.05),
    ("as_of amid 10,000 turns, times raw", travelling.middle, "at most", 1.2),
    ("as_of after 100,000 events cleared, times 100", travelling.after_a_clearing, "at most", 1.3),
    ("opening a page of 20,000 turns, times 100", growing.opening, "at most", 1.2),
    ("waking a page of 20,000 turns, times 100", growing.waking, "at most", 1.2),
    ("recording the 20,001st turn, times the 101st", growing.recording, "at most", 1.2),
    ("starting and ending that turn, times", growing.starting, "at most", 1.2),
    ("worker's lag at 200 turns/s, median seconds", following.lag, "at most", 1.0),
    ("rebuilding 1,000,000 events, times 500,000", rebuilding.twice_the_events, "at most", 2.2),
    ("memory of that, times 500,000", rebuilding.memory, "at most", 1.2),
    (
        "rebuilding lost messages, of the engine's rate",
        rebuilding.into_an_empty_table,
        "at least",
        1.0,
    ),
    ("rebuilding messages in place, of that rate", rebuilding.over_old_rows, "at least", 0.7),
    ("rebuilding in Python, of fetch and COPY's rate", rebuilding.by_python, "at least", 0.7),
    ("a turn recorded beside a rebuild, p99, times", rebuilding.beside_people, "at most", 3.0),
    ("review: the list of 1,000,000 events, times raw", reviewing.listing, "at most", 1.5),
    ("review: a search in them, times raw", reviewing.searching, "at most", 1.5),
    ("review: a conversation of 500 turns, times raw", reviewing.reading, "at most", 1.5),
    ("review: any position of its slider, times raw", reviewing.sliding, "at most", 1.5),
    ("a chart in a warm sandbox, seconds above bare", sandboxing.chart, "at most", 0.3),
    ("20 people, 40 tokens/s each: ms added, p99", crowd.added_delay, "at most", 50.0),
    ("ms added before the first word, p50", crowd.added_before_the_first_word, "at most", 15.0),
    ("KB of an idle client beyond an echo's", crowd.idle_kilobytes, "at most", 200.0),
    # These empty the log first.
    ("a turn recorded with all proof, times without", proving.recording, "at most", 1.25),
    ("signing 1,000 new events of 1,000,000, times 10,000", proving.signing, "at most", 2.0),
    ("verify_log, of fetch and SHA-256's rate", proving.verifying, "at least", 0.5),
    ("verifying a bundle, of read and SHA-256's rate", proving.offline, "at least", 0.5),
]


def main(wanted: str = "") -> int:
    previous = setup_databases(verbosity=0, interactive=False)
    missed = 0
    try:
        user = get_user_model().objects.create(username="bench")
        for name, measure, bound, limit in FIGURES:
            if wanted not in name:
                continue
            found = measure(user)
            reached = found <= limit if bound == "at most" else found >= limit
            missed += not reached
            verdict = "reached" if reached else "MISSED"
            print(f"{name:48} {found:6.2f}   {bound} {limit}  {verdict}", flush=True)
    finally:
        setting.connection.close()
        teardown_databases(previous, verbosity=0)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
