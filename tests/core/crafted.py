"""Documents that claim more than they hold, or were chosen to take long, and what they cost.

`python -m tests.core.crafted` reads each in a process of its own, and prints a line of JSON:
its name, its size and the memory that reading it took, in bytes, and how it ended.
"""

from __future__ import annotations

import array
import enum
import io
import json
import os
import resource
import struct
import sys
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from turnlog.core import codec

SECONDS = 10
"""Processor time for each; without a bound, some would take minutes."""

MERSENNE = 2**61 - 1
"""The modulus of Python's hash of numbers: all multiples of it have the same one."""

DAY = 86_400 * 10**9


def tag(name: str, value: Any) -> dict[str, Any]:
    return {"_type": name, "_value": value}


def ndarray(dtype: str, data: bytes, *shape: int) -> Any:
    body = {"dtype": dtype, "shape": shape, "order": "C", "data": b64encode(data).decode()}
    return tag("numpy.ndarray", body)


def objects(*items: Any) -> Any:
    body = {"dtype": "|O", "shape": [len(items)], "order": "C", "items": items}
    return tag("numpy.ndarray", body)


def span(stop: int) -> Any:
    return tag("pandas.RangeIndex", {"start": 0, "stop": stop, "step": 1, "name": None})


def index(values: Any, **more: Any) -> Any:
    return tag("pandas.Index", {"values": values, "name": None, **more})


def multi(levels: list[Any], codes: list[Any], sortorder: int | None = None) -> Any:
    body = {"levels": levels, "codes": codes, "names": [None] * len(levels)}
    return tag("pandas.MultiIndex", {**body, "sortorder": sortorder})


def series(index: Any, data: Any, **more: Any) -> Any:
    return tag("pandas.Series", {"index": index, "name": None, "data": data, **more})


def frame(index: Any, columns: Any, data: list[Any]) -> Any:
    return tag("pandas.DataFrame", {"index": index, "columns": columns, "data": data})


def category(categories: Any) -> dict[str, Any]:
    return {"name": "category", "categories": categories, "ordered": False}


def int64(values: Iterable[int]) -> bytes:
    return array.array("q", values).tobytes()


def multiples(count: int) -> list[int]:
    return [number * MERSENNE for number in range(1, count + 1)]


def halves(count: int) -> Any:
    """Numbers whose upper half equals their lower half: pandas' tables of int64 mix the two."""
    return index(ndarray("<i8", int64(n << 32 | n for n in range(count)), count))


def png(width: int, height: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> Any:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return tag("PIL.Image", {"mode": "L", "png": b64encode(data).decode(), "info": {}})


def texts_of_png() -> Iterable[tuple[bytes, bytes]]:
    packed = zlib.compress(bytes(10**6))
    return ((b"zTXt", b"key%d\0\0" % number + packed) for number in range(60))


class Keep(enum.IntFlag):
    ONE = 1


ONE = ndarray("|i1", b"\0", 1)
ZEROS = ndarray("|i1", bytes(40_000), 40_000)
FLAGS = {"class": "crafted.Keep", "flags": tag("int", "0x" + "f" * 400_000)}
LONG = tag("int", hex((1 << 2_000_000) // MERSENNE * MERSENNE + 5))

DOCUMENTS: dict[str, Callable[[], Any]] = {
    # Lengths that are only claimed.
    "levels of endless ranges": lambda: multi([span(10**7)] * 300, [ONE] * 300),
    "many levels in order": lambda: multi([span(10)] * 3000, [ONE] * 3000, 3000),
    "categories of a range": lambda: (
        [tag("pandas.array", {"dtype": category(span(10**8)), "codes": ONE})] * 200
    ),
    "a frame without columns": lambda: frame(span(10**12), span(0), []),
    "one value for an endless index": lambda: series(span(10**9), ONE),
    "a short mask": lambda: tag(
        "pandas.array",
        {"dtype": {"name": "Int8"}, "values": ZEROS, "mask": ndarray("|b1", b"\0", 1)},
    ),
    "text without width": lambda: ndarray("<U0", b"", 10**12),
    "rows without columns": lambda: ndarray("|i1", b"", 10**12, 0),
    "wide items that are not there": lambda: ndarray("|S2000000000", b"", 0),
    "a shape of huge sizes": lambda: ndarray("|i1", b"", *[2**1990] * 800),
    # Tables that are made of less than a table.
    "a legacy frame, each column with its own row": lambda: tag(
        "DataFrame", {f"c{n}": {f"r{n}": 1} for n in range(4000)}
    ),
    "a legacy frame of repeated values": lambda: tag(
        "DataFrame", {"a": [1] * 20_000, **{f"c{n}": 1 for n in range(4000)}}
    ),
    "a legacy frame of a range": lambda: tag("DataFrame", {"a": span(10**9)}),
    "a legacy series of ranges": lambda: tag("Series", {"a": [[span(10**8)]], "b": span(10**8)}),
    # Numbers that were chosen to collide.
    "keys": lambda: tag("dict", [[number, 0] for number in multiples(24_000)]),
    "members": lambda: tag("set", multiples(24_000)),
    "tuples": lambda: tag("set", [tag("tuple", [number]) for number in multiples(12_000)]),
    "sets": lambda: tag("set", [tag("frozenset", [number, 5]) for number in multiples(9000)]),
    "decimals": lambda: tag("set", [tag("Decimal", str(n)) for n in multiples(12_000)]),
    "powers": lambda: tag("set", [tag("Decimal", f"1e{61 * n}") for n in range(12_000)]),
    "UUIDs": lambda: tag("set", [tag("UUID", f"{n:032x}") for n in multiples(8000)]),
    "a long int beside a Decimal": lambda: tag("set", [LONG, tag("Decimal", "5")]),
    "entries of a level": lambda: multi([index(objects(*multiples(24_000)))], [ONE]),
    "numbers of a level": lambda: multi([halves(40_000)], [ONE]),
    "numbers of categories": lambda: tag("pandas.dtype", category(halves(40_000))),
    "unique labels": lambda: series(halves(40_000), ZEROS, unique_labels=True),
    # Numbers, and texts that become numbers.
    "flags": lambda: tag("enum", FLAGS),
    "a large exponent": lambda: tag("set", [tag("Decimal", "1e999999999999999999"), 1]),
    "many digits": lambda: tag("set", [tag("Decimal", "9" * 400_000)]),
    "a frequency of a thousand steps": lambda: index(
        ndarray("<M8[ns]", int64([0]), 1), freq="1h" * 200_000
    ),
    "a frequency of many days": lambda: index(
        ndarray("<M8[ns]", int64(range(0, 20_000 * DAY, DAY)), 20_000), freq="1000000000D"
    ),
    # Images.
    "an image that is not there": lambda: png(9000, 9000, zlib.compress(b"")),
    "images that are not there": lambda: [png(9000, 9000, zlib.compress(b""))] * 1000,
    "an image of one colour": lambda: png(8000, 8000, zlib.compress(bytes(8001 * 8000), 9)),
    "an image with texts": lambda: png(1, 1, zlib.compress(bytes(2)), *texts_of_png()),
    # What takes the most memory for its text.
    "empty lists": lambda: [[]] * 160_000,
    "empty objects": lambda: [{}] * 160_000,
    "empty sets": lambda: [tag("set", [])] * 18_000,
    "columns without rows": lambda: frame(span(0), span(4000), [ndarray("|i1", b"", 0)] * 4000),
    "columns of many levels": lambda: frame(
        multi([span(1)] * 400, [ONE] * 400), span(2000), [ONE] * 2000
    ),
    "short series": lambda: [series(span(1), ONE)] * 2000,
    "messages": lambda: [tag("HumanMessage", {"content": ""})] * 10_000,
}


def cost(text: str) -> dict[str, Any]:
    """Read a document in a child of this process."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            value = codec.loads(text)
            ended = f"read: {type(value).__name__}"
        except codec.CodecError as error:
            ended = f"refused: {error}"
        except BaseException as error:  # noqa: BLE001 - told, and the test fails
            ended = f"raised {type(error).__name__}"
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(tell, json.dumps({"memory": used * 1024, "ended": ended[:500]}).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(answer or '{"memory": -1, "ended": "took too long"}')
    return found


def main() -> None:
    codec.register(Keep, name="crafted.Keep")
    warm_up()
    for name, make in DOCUMENTS.items():
        text = json.dumps(make(), separators=(",", ":"))
        sys.stdout.write(json.dumps({"name": name, "size": len(text), **cost(text)}) + "\n")


def warm_up() -> None:
    """Import what reading needs: its memory is not the documents'."""
    import pandas as pd
    from langchain_core.messages import HumanMessage
    from PIL import Image

    table = pd.DataFrame({"a": pd.Categorical(["x"])}, index=pd.MultiIndex.from_tuples([(1, 2)]))
    picture = Image.new("L", (1, 1))
    picture.save(io.BytesIO(), "PNG")
    codec.loads(codec.dumps([table, picture, pd.Timestamp("2026", tz="UTC"), HumanMessage("")]))


if __name__ == "__main__":
    main()
