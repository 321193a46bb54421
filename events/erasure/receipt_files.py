"""Files of receipts, outside the database: one line of JSON each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core import conf
from ...core.errors import ReceiptNotKept, ReceiptRefused
from ...core.files import whole_file
from .receipts import Forgotten, Receipt, receipt_of


def keep(receipt: Receipt | Forgotten) -> None:
    """Append a receipt to the file that the settings name, if any. Raises ReceiptNotKept."""
    path = conf.get().receipts_file
    if not path:
        return
    try:
        _append(path, _line(receipt.as_dict()))
    except OSError as error:
        failed = f"could not be written to {path}: {error.strerror or error}; fix that, and"
        if isinstance(receipt, Forgotten):
            raise ReceiptNotKept(
                f"the user is forgotten, but the receipt {failed} append this line to it:"
                f" {json.dumps(receipt.as_dict())}",
                receipt,
            ) from error
        raise ReceiptNotKept(
            f"conversation {receipt.conversation}: the erasure is done, but its receipt {failed}"
            " write all receipts from the log with `manage.py erasure_receipts --output FILE`",
            receipt,
        ) from error


def _append(path: str, line: bytes) -> None:
    import fcntl  # lazy: Windows has none, and everything else runs there

    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # Lines of several processes must not mix; closing the file releases the lock.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line  # A process was cut off in the middle of a line.
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: str | os.PathLike[str], receipts: Iterable[Receipt]) -> int:
    """Write receipts to a file, whole or not at all; their number. Raises ReceiptNotKept."""
    count = 0
    try:
        with whole_file(Path(path)) as file:
            for receipt in receipts:
                file.write(_line(receipt.as_dict()))
                count += 1
    except OSError as error:
        raise ReceiptNotKept(
            f"the receipts could not be written to {os.fspath(path)}: {error.strerror or error};"
            " name a file in a writable folder"
        ) from error
    return count


def _line(stored: Mapping[str, Any]) -> bytes:
    return json.dumps(stored).encode() + b"\n"


def read(path: str | os.PathLike[str]) -> Iterator[Receipt | Forgotten | ReceiptRefused]:
    """Yield the receipts of a file or a pipe; for a line that cannot be read, the error.

    Raises ReceiptRefused if the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            # Stop at the size that the file has now: receipts that are applied append new receipts.
            left = os.fstat(file.fileno()).st_size if file.seekable() else sys.maxsize
            for number, line in enumerate(file, 1):
                if left <= 0:
                    return
                left -= len(line)
                if line.strip():
                    yield _read_line(path, number, line)
    except OSError as error:
        raise ReceiptRefused(
            f"the receipts in {os.fspath(path)} could not be read: {error.strerror or error}"
        ) from error


def _read_line(path: Any, number: int, line: bytes) -> Receipt | Forgotten | ReceiptRefused:
    try:
        return receipt_of(json.loads(line))
    except (ReceiptRefused, RecursionError, ValueError) as error:
        why = str(error) if isinstance(error, ReceiptRefused) else f"not JSON ({error})"
        return ReceiptRefused(f"{os.fspath(path)}, line {number}: {why}")
