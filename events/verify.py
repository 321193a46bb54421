"""Checks a bundle that `export_log` wrote: without Django, without a database, offline.

    python -m turnlog.events.verify FILE [--key PUBLIC_KEY] [--json]

Needs only Python's standard library and, for the signature, `cryptography`. Reads the file once,
line by line. Memory grows with the number of conversations in it and of the texts that turns refer
to (some 200 bytes each), not with their length. The rules are on the page "The bundle's format" of
turnlog's documentation; to write another verifier, follow that page.

Exit code 0: intact. 1: not what it claims to be, no bundle, or not signed with your key. 2: could
not run.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..core.output import tell
from ..core.terminal import safe
from .proof.lines import BundleError, NoBundle, OtherKey
from .proof.notes import NoteError, PublicKey
from .proof.walk import verify

_SAID = 1000  # Maximum characters of a sentence, which may quote what it found.


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m turnlog.events.verify", description="Check a bundle of a turnlog log."
    )
    parser.add_argument("file", metavar="FILE", help="what export_log wrote")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="PUBLIC_KEY",
        help="the log's public key, from a source that you trust (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    # If the terminal's encoding lacks a character, show its number instead of failing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        keys = [PublicKey.parse(text) for text in options.key]
        with open(options.file, "rb") as file:
            result = verify(file, keys)
    except NoBundle as error:
        said = f"{options.file} is no bundle that this version can check: {error}"
        return _say(options, 1, {"ok": False, "error": str(error)}, said)
    except OtherKey as error:
        said = f"NOT signed with your key: {error}"
        return _say(options, 1, {"ok": False, "error": str(error)}, said)
    except BundleError as error:
        return _say(options, 1, {"ok": False, "error": str(error)}, f"NOT intact: {error}")
    except NoteError as error:
        return _say(options, 2, {"ok": None, "error": str(error)}, f"--key: {error}")
    except OSError as error:
        why = f"{options.file} cannot be read: {error.strerror or error}"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except MemoryError:
        why = f"{options.file} cannot be read: one of its lines needs more memory than there is"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except KeyboardInterrupt:
        why = "interrupted before the check was complete"
        return _say(options, 2, {"ok": None, "error": why}, why)
    except ImportError:
        why = "the signature needs the package `cryptography`; install it with pip"
        return _say(options, 2, {"ok": None, "error": why}, why)
    return _say(options, 0, {"ok": True, **asdict(result)}, result.sentence())


def _say(options: argparse.Namespace, code: int, facts: dict[str, Any], sentence: str) -> int:
    shown = sentence if len(sentence) <= _SAID else f"{sentence[:_SAID]} ..."
    # One line, whatever the quoted names contain.
    line = json.dumps(facts) if options.json else safe(shown).replace("\n", "\\x0a")
    try:
        tell(sys.stderr if code and not options.json else sys.stdout, line)
    except OSError as error:
        tell(sys.stderr, f"the result could not be written: {error.strerror or error}")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
