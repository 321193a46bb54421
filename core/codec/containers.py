"""Lists, dicts, tuples, sets.

| value | `_type` | `_value` |
|---|---|---|
| list | | an array, not tagged |
| dict with str keys only, none of them `_type` | | an object, not tagged |
| any other dict | `dict` | `[[key, value], ...]`, order kept |
| tuple | `tuple` | `[...]` |
| set, frozenset | `set`, `frozenset` | `[...]`, ordered by the members' JSON text |
"""

from __future__ import annotations

from typing import Any

from .blobs import read
from .collisions import check_hashes
from .dispatch import DECODERS, ENCODERS, dec, decode_items, enc
from .encoded import Encoded
from .fault import Fault, expect
from .json_text import to_json
from .strings import survives_json


def encode_items(values: Any, depth: int) -> list[Any]:
    """The documents of an iterable's items, each `depth` levels below the root. Raises Fault."""
    documents: list[Any] = []
    try:
        for value in values:
            documents.append(enc(value, depth))
    except Fault as fault:
        fault.at_index(len(documents))
        raise
    return documents


def encode_list(value: list[Any], depth: int) -> list[Any]:
    return encode_items(value, depth + 1)


def encode_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    depth += 1
    # Look at all keys first. If an odd key were found after its neighbours were encoded, starting
    # again would double the work at each level.
    for key in value:
        if type(key) is not str or key == "_type" or not survives_json(key):
            return {"_type": "dict", "_value": _encode_pairs(value, depth)}
    document = {}
    for key, item in value.items():
        try:
            document[key] = enc(item, depth)
        except Fault as fault:
            fault.at_key(key)
            raise
    return document


def _encode_pairs(value: dict[Any, Any], depth: int) -> list[list[Any]]:
    pairs = []
    for key, item in value.items():
        try:
            pairs.append([enc(key, depth), enc(item, depth)])
        except Fault as fault:
            fault.at_key(key)
            raise
    check_hashes(list(value), [pair[0] for pair in pairs])
    return pairs


def _decode_dict(body: Any, depth: int) -> dict[Any, Any]:
    keys = []
    for index, pair in enumerate(expect(body, list, "the value of a dict")):
        if type(pair) is not list or len(pair) != 2:
            raise Fault("a dict's items must be [key, value]").at_index(index)
        try:
            keys.append(dec(pair[0], depth + 1))
        except Fault as fault:
            fault.at_index(index)
            raise
    # Before the dict is made: it would compare the keys.
    check_hashes(keys, [pair[0] for pair in body])
    value: dict[Any, Any] = {}
    for key, pair in zip(keys, body, strict=True):
        try:
            value[key] = dec(pair[1], depth + 1)
        except Fault as fault:
            fault.at_key(key)
            raise
    if len(value) != len(body):
        raise Fault("a dict's keys must differ")
    return value


def _encode_tuple(value: tuple[Any, ...], depth: int) -> dict[str, Any]:
    return {"_type": "tuple", "_value": encode_items(value, depth + 1)}


def _decode_tuple(body: Any, depth: int) -> tuple[Any, ...]:
    return tuple(decode_items(expect(body, list, "the value of a tuple"), depth + 1))


def _encode_set(value: Any, depth: int) -> dict[str, Any]:
    # Equal sets must give equal bytes, but iteration order depends on the process's hash seed.
    documents = encode_items(value, depth + 1)
    check_hashes(list(value), documents)
    members = sorted(documents, key=to_json)
    return {"_type": type(value).__name__, "_value": members}


def _decode_members(body: Any, depth: int) -> set[Any]:
    members = decode_items(expect(body, list, "the value of a set"), depth + 1)
    check_hashes(members, body)
    value = set(members)
    if len(value) != len(body):
        raise Fault("a set's members must differ")
    return value


def _decode_frozenset(body: Any, depth: int) -> frozenset[Any]:
    return frozenset(_decode_members(body, depth))


def _encode_encoded(value: Encoded, depth: int) -> Any:
    # Read, because it may nest too deeply for its place here.
    document = read(value.text)
    dec(document, depth)
    return document


ENCODERS[Encoded] = _encode_encoded
ENCODERS[list] = encode_list
ENCODERS[dict] = encode_dict
ENCODERS[tuple] = _encode_tuple
ENCODERS[set] = ENCODERS[frozenset] = _encode_set

DECODERS["dict"] = _decode_dict
DECODERS["tuple"] = _decode_tuple
DECODERS["set"] = _decode_members
DECODERS["frozenset"] = _decode_frozenset
