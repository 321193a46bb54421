"""The table of optional libraries: who knows their values, and what to advise about the rest.

`optional.py` fills the table; `dispatch.py` and `unknown.py` read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Encoder = Callable[[Any, int], Any]
Decoder = Callable[[Any, int], Any]
EncoderFor = Callable[[type], Encoder | None]


class Library(NamedTuple):
    """One optional library, or one part of a library.

    `load` imports the module that encodes and decodes the library's values, and returns that
    module's `encoder_for`. The import also fills `DECODERS` with the library's tags. `load` raises
    `ImportError` if the library is not installed. `advice` completes the error message for a class
    of the library that the codec does not store.
    """

    name: str
    load: Callable[[], EncoderFor]
    advice: str = ""


# By the first part of a class's module, and by the first part of a tag.
LIBRARIES: dict[str, Library] = {}


def library_of(dotted_name: str) -> Library | None:
    """The library that a module's name or a tag belongs to, or None."""
    return LIBRARIES.get(dotted_name.partition(".")[0])
