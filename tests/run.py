"""Runs the whole suite on SQLite, then on PostgreSQL; ends with one line for each.

python -m tests.run [--coverage] [pytest's arguments]

In a process more than there are cores, as each waits now and then for a server or a browser; `-n 0`
or `--pdb` among the arguments means one.
`--coverage` measures the run on SQLite, where only PostgreSQL's own tests are missing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

DATABASES = ("sqlite", "postgresql")
# No more than four: tests of ours start servers, browsers and clusters of their own. And a file's
# tests mostly in one process, where they share these.
PARALLEL = ("-n", str(min(4, (os.cpu_count() or 1) + 1)), "--dist", "worksteal")


def run(database: str, arguments: list[str]) -> tuple[int, str]:
    """Exit code and summary line of one run, its output passed on as it comes."""
    print(f"\n== {database}", flush=True)
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *PARALLEL, *arguments],
        env={**os.environ, "TURNLOG_TEST_DATABASE": database},
        stdout=subprocess.PIPE,
        text=True,
    )
    summary = "no summary"
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if re.search(r"\b(passed|failed|errors?|no tests ran)\b.* in ", line):
            summary = re.sub(r"\x1b\[\d+m", "", line).strip("= \n")
    code = process.wait()
    return code, f"{database:11} {summary} ({time.monotonic() - begun:.0f} s in all)"


def main() -> int:
    arguments = [each for each in sys.argv[1:] if each != "--coverage"]
    measured = ["--cov", "--cov-report=term"] if "--coverage" in sys.argv else []
    options = {"sqlite": measured}
    results = [run(each, [*options.get(each, []), *arguments]) for each in DATABASES]
    print()
    for code, line in results:
        print(f"{'ok  ' if code == 0 else 'FAIL'} {line}")
    return max(code for code, _ in results)


if __name__ == "__main__":
    sys.exit(main())
