"""What a client asks for as it connects: its query, which may contain anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils import translation

from ..page.frames import Encoder, HtmlEncoder, JsonEncoder


@dataclass(frozen=True, slots=True)
class Opening:
    """The language and the format of the frames, the version up to which the client has everything,
    whose page it is, and whether to tell a refusal in a way that a script sees."""

    language: str
    encoder: Encoder
    after: int
    person: str
    refuse: str

    @classmethod
    def of(cls, query: Mapping[str, Sequence[str]], language: str = "") -> Opening:
        """Return what a query asks for; an invalid value counts as the default.

        `language` is the default one; "" for the project's own.
        """

        def first(name: str) -> str:
            return query.get(name, ("",))[0]

        return cls(
            language=_language_of(first("lang") or language),
            encoder=JsonEncoder() if query.get("format") == ["json"] else HtmlEncoder(),
            after=version_of(first("after")),
            person=first("person"),
            refuse=first("refuse"),
        )


def _language_of(asked: str) -> str:
    """Return the page's language if the project has it, otherwise the project's own."""
    try:
        return translation.get_supported_language_variant(asked)
    except LookupError:
        return settings.LANGUAGE_CODE


def version_of(text: str) -> int:
    """Return a version that a client names; 0 if it names none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
