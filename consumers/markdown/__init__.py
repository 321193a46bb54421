"""Markdown as HTML that is safe to show, whole or block by block while it is being written."""

from .masked import masked_as_shown
from .rendering import Block, render
from .stream import TAIL_LIMIT, MarkdownStream, blocks

__all__ = ["TAIL_LIMIT", "Block", "MarkdownStream", "blocks", "masked_as_shown", "render"]
