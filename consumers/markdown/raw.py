"""Markdown that is shown as it is, at the end of what is rendered already."""

from __future__ import annotations

import re

from django.utils.safestring import SafeString, mark_safe

from .text import escaped

_CLOSING = re.compile(r"</[a-z][a-z0-9]*>\n?")
_INLINE = re.compile(r"</(?:em|strong|s|a|code|span)>(?!</pre>)")
RAW_OPENING = '<span class="turnlog-raw">'


def with_raw(html: str, source: str) -> SafeString:
    """Return the HTML with more Markdown, as plain text, within its last block."""
    if not source:
        return mark_safe(html)
    places = [*closings(html), len(html)]
    added = escaped(source)
    if html.rfind(RAW_OPENING) == html.rfind("<", 0, places[0]) >= 0:
        place = places[0]  # There is such text already.
    else:
        place = next(place for place in places if not _INLINE.match(html, place))
        added = f"{RAW_OPENING}{added}</span>"
    return mark_safe(f"{html[:place]}{added}{html[place:]}")


def closings(html: str) -> list[int]:
    """Return where each of the closing tags at the very end begins, the innermost first."""
    places: list[int] = []
    end = len(html)
    while (begin := html.rfind("</", 0, end)) >= 0 and _CLOSING.fullmatch(html, begin, end):
        places.insert(0, begin)
        end = begin
    return places
