"""The two tables every value goes through: by exact class on the way in, by `_type` on the way out.

Nothing is found by walking class hierarchies, and nothing is imported by a name that stands in
data: modules for optional libraries come from the fixed table `_HOMES`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from .fault import Fault
from .strings import encode_text
from .unknown import unknown_class

Encoder = Callable[[Any, int], Any]
Decoder = Callable[[Any, int], Any]

ENCODERS: dict[type, Encoder] = {}
DECODERS: dict[str, Decoder] = {}

# How deep values may nest. The limit is ours and the same both ways, instead of whatever is left
# of Python's stack: what could be written in a shallow stack must be readable in a deep one.
MAX_DEPTH = 200

# Where the first part of a class's module, or of a tag, leads. The modules on the right import
# the library at their top, so they are imported only when one of its values turns up.
_HOMES = {
    "numpy": "numpy_arrays",
    "pandas": "pandas_frames",
    "PIL": "images",
    "langchain_core": "messages",
    "langchain": "messages",
    "langchain_classic": "messages",
}


def enc(value: Any, depth: int) -> Any:
    """The document of `value`, which lies `depth` levels below the root. Raises Fault."""
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
    """The value of `document`, which lies `depth` levels below the root. Raises Fault."""
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
    raise Fault("a document holds dict, list, str, int, float, bool and None only", cls.__name__)


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
        f"values may nest {MAX_DEPTH} levels deep, and this goes deeper (or contains itself);"
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
        raise Fault('a tagged value is {"_type": <name>, "_value": ...} and nothing more')
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
        # Such as pyarrow, behind one of pandas' storages.
        raise Fault(f"reading this {tag} needs a library that is not here: {exc}", tag) from exc
    except Exception as exc:
        # Whatever a constructor, NumPy, pandas or Pillow raises over a stored value, it is the
        # document that is wrong; callers must not have to know each library's exceptions.
        raise Fault(f"malformed {tag}: {type(exc).__name__}: {str(exc)[:200]}", tag) from exc


def _find_encoder(cls: type) -> Encoder:
    home = _HOMES.get(cls.__module__.partition(".")[0])
    encoder = None
    if home is not None:
        # Without the library, the class is of something else that bears its name.
        with suppress(ImportError):
            encoder = import_module(f".{home}", __package__).encoder_for(cls)
    if encoder is None:
        raise unknown_class(cls)
    ENCODERS[cls] = encoder
    return encoder


def _find_decoder(tag: str) -> Decoder:
    library = tag.partition(".")[0]
    home = _HOMES.get(library)
    if home is not None:
        try:
            import_module(f".{home}", __package__)
        except ImportError as exc:
            raise Fault(
                f"reading a {tag} needs {library}, which cannot be imported here;"
                " install django-turnlog[analyst]",
                tag,
            ) from exc
    decoder = DECODERS.get(tag)
    if decoder is None:
        shown = tag if len(tag) <= 80 else tag[:80] + "..."
        raise Fault(
            f"unknown _type {shown!r}; it was written by a newer turnlog, or was not written"
            " by turnlog",
            shown,
        )
    return decoder
