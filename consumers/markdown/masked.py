"""Personal data in rendered Markdown: its source may spell a value that its HTML shows in clear."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import unquote

from django.utils.safestring import SafeString, mark_safe

from ...core.masking.masker import Masker
from .text import escaped

# What nh3 wrote: no "<" in a text, and a value of an attribute between quotation marks.
_TAG = re.compile(r'<(/?\w++)((?:[^<>"]++|"[^"]*+")*+)>')
_VALUE = re.compile(r'="([^"]*+)"')
_SPACES = re.compile(r"[ \t]{2,}+")
_CODE = re.compile(r"(<pre\b(?:[^<]++|<(?!/pre>))*+</pre>)")
_APART = "\n\n"


def masked_as_shown(blocks: Sequence[SafeString], mask: Masker) -> list[SafeString]:
    """Return blocks of safe HTML, those with personal data as their plain text, masked.

    All of an answer is looked at as one text: a value may begin in one block and end in another.
    """
    texts = [_plain(block) for block in blocks]
    values = [_values(block) for block in blocks]
    pieces = [piece for text in texts for piece in (text, _APART)]
    hidden = [piece for value in values for piece in (value, _APART)]
    masked = mask.joined([*pieces, *hidden])
    shown = []
    for number, block in enumerate(blocks):
        text, value = masked[2 * number], masked[len(pieces) + 2 * number]
        same = text == texts[number] and value == values[number]
        shown.append(block if same else _paragraph(text))
    return shown


def _paragraph(text: str) -> SafeString:
    lines = "<br>".join(escaped(text.strip("\n")).split("\n"))
    return mark_safe(f'<p dir="auto">{lines}</p>\n' if lines else "")


def _plain(block: str) -> str:
    """Return a block's words as a browser shows them: several spaces are one, but not in code."""
    if "  " in block or "\t" in block:
        parts = _CODE.split(block)
        parts[::2] = [_SPACES.sub(" ", part) for part in parts[::2]]
        block = "".join(parts)
    return html.unescape(_TAG.sub(lambda tag: "\n" if tag[1] == "br" else "", block))


def _values(block: str) -> str:
    """Return where a block's links lead, and what else its tags say, also as it is decoded."""
    found = []
    for tag in _TAG.finditer(block):
        for value in _VALUE.findall(tag[2]):
            address = html.unescape(value)
            found += [address] if "%" not in address else [address, unquote(address)]
    return "\n".join(found)
