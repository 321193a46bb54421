"""Writes the samples that are missing: one file for each type and schema, never over one there is.

python -m tests.events.samples      (or `make samples`)
"""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
django.setup()

from tests.events.samples.facts import FACTS  # noqa: E402
from tests.events.samples.older import evolving  # noqa: E402
from tests.events.samples.stored import HERE, missing, stream_of, write  # noqa: E402
from tests.events.samples.streams import STREAMS  # noqa: E402
from turnlog.events.types import EVENT_TYPES  # noqa: E402


def main() -> int:
    left = []
    for name, schema, fields in missing():
        if name not in FACTS or schema != EVENT_TYPES[name].schema:
            left.append((name, schema))
            continue
        form = f".{'-'.join(sorted(fields))}" if fields else ""
        write(HERE / f"{name}.{schema}{form}.jsonl", stream_of(FACTS[name]))
    for name, make in STREAMS.items():
        path = HERE / f"{name}.jsonl"
        if not path.exists():
            with evolving():
                write(path, make())
    for name, schema in left:
        how = (
            "add facts of it to tests/events/samples/facts.py"
            if schema == EVENT_TYPES[name].schema
            else "it can only be restored, from the version that wrote it"
        )
        sys.stderr.write(f"{name} schema {schema} has no sample: {how}\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
