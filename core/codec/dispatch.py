"""The two tables that every value goes through: by exact class to encode, by `_type` to decode.

The codec never walks class hierarchies and never imports by a name found in data. The modules for
optional libraries come from the fixed table `LIBRARIES`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .fault import Fault
from .libraries import Decoder, Encoder, library_of
from .strings import encode_text
from .unknown import unknown_class

ENCODERS: dict[type, Encoder] = {}
DECODERS: dict[str, Decoder] = {}

# How deep values may nest. The limit is fixed and the same in both directions, so that it does not
# depend on the free stack: a caller deep in the stack can read what a caller near its top wrote.
MAX_DEPTH = 200


def enc(value: Any, depth: int) -> Any:
    """The document of `value`, `depth` levels below the root. Raises Fault."""
    cls = type(value)
    if cls is str:
        return value if value.isascii() else encode_text(value)
    if depth > MAX_DEPTH:
        raise too_deep()
    encoder = ENCODERS.get(cls)
    if encoder is None:
        encoder = _find_encoder(cls)
    return encoder(value, depth)


def dec(document: Any, depth: int) -> Any:
    """The value of `document`, `depth` levels below the root. Raises Fault."""
    cls = type(document)
    if cls is str or cls is int or cls is bool or document is None:
        return document
    if depth > MAX_DEPTH:
        raise too_deep()
    if cls is dict:
        return _tagged(document, depth) if "_type" in document else _object(document, depth + 1)
    if cls is list:
        return decode_items(document, depth + 1)
    if cls is float:
        if document - document == 0.0:
            return document
        raise Fault('a number must be finite; NaN is {"_type": "float", "_value": "nan"}', "float")
    raise Fault("a document holds only dict, list, str, int, float, bool and None", cls.__name__)


def decode_items(documents: list[Any], depth: int) -> list[Any]:
    """The values of a list of documents, each `depth` levels below the root."""
    values: list[Any] = []
    try:
        for document in documents:
            values.append(document if type(document) is str else dec(document, depth))
    except Fault as fault:
        fault.at_index(len(values))
        raise
    return values


def too_deep() -> Fault:
    return Fault(
        f"values may nest {MAX_DEPTH} levels deep, but this one nests deeper, or contains itself;"
        " flatten it, or store the inner part as text"
    )


def _object(document: dict[str, Any], depth: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        for key, item in document.items():
            if type(key) is not str:
                raise Fault("the keys of a document's objects must be str", type(key).__name__)
            values[key] = item if type(item) is str else dec(item, depth)
    except Fault as fault:
        fault.at_key(key)
        raise
    return values


def _tagged(document: dict[str, Any], depth: int) -> Any:
    tag = document["_type"]
    if type(tag) is not str or len(document) != 2 or "_value" not in document:
        raise Fault('a tagged value must be {"_type": <name>, "_value": ...}, without other keys')
    decoder = DECODERS.get(tag)
    if decoder is None:
        decoder = _find_decoder(tag)
    try:
        return decoder(document["_value"], depth)
    except Fault as fault:
        fault.type_name = fault.type_name or tag
        raise
    except RecursionError:
        raise too_deep() from None
    except ImportError as exc:
        # For example pyarrow, which one of pandas' string storages needs.
        raise Fault(f"reading this {tag} needs a library that is missing: {exc}", tag) from exc
    except Exception as exc:
        # If a constructor or a library fails on a stored value, the document is wrong. Callers
        # must not need to know each library's exceptions.
        raise Fault(f"malformed {tag}: {type(exc).__name__}: {str(exc)[:200]}", tag) from exc


def _find_encoder(cls: type) -> Encoder:
    library = library_of(cls.__module__)
    encoder = None
    if library is not None:
        # If the library is missing, the class belongs to another package of the same name.
        with suppress(ImportError):
            encoder = library.load()(cls)
    if encoder is None:
        raise unknown_class(cls)
    ENCODERS[cls] = encoder
    return encoder


def _find_decoder(tag: str) -> Decoder:
    library = library_of(tag)
    if library is not None:
        try:
            library.load()
        except ImportError as exc:
            raise Fault(
                f"reading a {tag} needs {library.name}, which cannot be imported here;"
                " install django-turnlog[analyst]",
                tag,
            ) from exc
    decoder = DECODERS.get(tag)
    if decoder is None:
        shown = tag if len(tag) <= 80 else tag[:80] + "..."
        raise Fault(
            f"unknown _type {shown!r}; either a newer turnlog wrote it, or something other than"
            " turnlog did",
            shown,
        )
    return decoder
