"""Markdown to HTML that is safe to show."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString

from .parsing import parser
from .safety import safe
from .text import readable


@dataclass(frozen=True, slots=True)
class Block:
    """A closed top-level block: its Markdown source, and the HTML that it is rendered to."""

    source: str
    html: SafeString


def render(source: str) -> SafeString:
    """Return safe HTML for a Markdown text. Raw HTML in the text is shown as text."""
    return safe(parser().render(readable(source)))
