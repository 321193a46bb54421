"""`python -m tests.torture [DATABASE ...] [--kills N] [--writers N] [--seed N] [--seconds N]`.

Exit code 1 if anything was lost, doubled, torn or otherwise not as promised.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

DATABASES = {
    "sqlite": "SQLite as the documentation sets it up",
    "sqlite-plain": "SQLite as Django sets it up",
    "postgresql": "PostgreSQL",
}
SETTINGS = {"sqlite-plain": "tests.torture.plain_sqlite"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="DATABASE", help=", ".join(DATABASES))
    parser.add_argument("--kills", type=int, default=250, help="writers to kill on each")
    parser.add_argument("--writers", type=int, default=8, help="at the same time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end early after")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args()
    for database in found.databases:
        if database not in DATABASES:
            parser.error(f"expected {', '.join(DATABASES)}, found {database!r}")
    return found


def main() -> int:
    asked = arguments()
    if asked.here:
        return run(asked)
    # Django works on one database in a process.
    codes = []
    for database in asked.databases or DATABASES:
        options = [
            f"--{name}={getattr(asked, name)}" for name in ("kills", "writers", "seed", "seconds")
        ]
        command = [sys.executable, "-m", "tests.torture", database, "--here", *options]
        environment = {
            **os.environ,
            "TURNLOG_TEST_DATABASE": database.partition("-")[0],
            "DJANGO_SETTINGS_MODULE": SETTINGS.get(database, "tests.project.settings"),
            # As in production, a commit waits for the disk.
            "TURNLOG_TEST_FSYNC": "on",
            # Small batches: more moments between them.
            "TURNLOG_TEST_BATCH": "50",
        }
        codes.append(subprocess.run(command, env=environment, check=False).returncode)
    return max(codes)


def run(asked: argparse.Namespace) -> int:
    import django

    django.setup()
    from django.db import connection

    from .trial import Size, Trial

    begun = time.monotonic()
    [database] = asked.databases
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0)
    try:
        size = Size(asked.kills, asked.seed, asked.writers, asked.seconds)
        report = Trial(size, DATABASES[database]).run()
    finally:
        connection.close()
        connection.creation.destroy_test_db(str(before), verbosity=0)
    print(f"\n{report}\n  {time.monotonic() - begun:.0f} s in all", flush=True)
    if not report.is_complete:
        print(f"  out of time: {report.kills} of {asked.kills} writers were killed")
    return 0 if report.kills and not report.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
