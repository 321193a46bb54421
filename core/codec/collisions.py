"""Keys of dicts and members of sets that share a hash.

Python's hashes of numbers, and of tuples and sets of them, are known: numbers can be chosen that
all have one hash. Each of them is compared with all others before it, which takes minutes for a
megabyte. So only a few may share a hash, in both directions. Text and bytes have secret hashes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .fault import Fault

# Tuples of -1 and -2 share a hash, because hash(-1) is -2: those of six numbers are 64.
_MOST = 64
_MOST_SETS = 4
_LONGEST_INT = 25_000  # digits: comparing an int with a Decimal takes the square of its length


def check_hashes(keys: Sequence[Any], documents: Sequence[Any]) -> None:
    """Raise Fault if too many of the keys share a hash; `documents` are those of the keys.

    Raises TypeError if a key has no hash.
    """
    hashes = [hash(key) for key in keys]
    if len(set(hashes)) == len(hashes):
        return
    groups: dict[int, list[Any]] = defaultdict(list)
    for hash_, document in zip(hashes, documents, strict=True):
        groups[hash_].append(document)
    for group in groups.values():
        if len(group) == 1:
            continue
        most = _MOST_SETS if any(map(_holds_set, group)) else _MOST
        if len(group) > most or any(map(_holds_long_int, group)):
            raise Fault(
                f"{len(group)} of {len(keys)} keys share one hash, so comparing them would take"
                " too long; give a list of pairs instead of a dict, or a list instead of a set"
            )


def _holds_set(document: Any) -> bool:
    return any(part.get("_type") == "frozenset" for part in _objects(document))


def _holds_long_int(document: Any) -> bool:
    return any(
        part.get("_type") == "int" and len(str(part.get("_value"))) > _LONGEST_INT
        for part in _objects(document)
    )


def _objects(document: Any) -> Any:
    rest = [document]
    while rest:
        part = rest.pop()
        if type(part) is dict:
            yield part
            rest += part.values()
        elif type(part) is list:
            rest += part
