"""Which values are content blocks of a message, and which only look like some.

A tool may return rows that have a `type`, such as `file`, `image` or `text`. A server refuses a
request with such rows among its content blocks. So they are sent as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PICTURE = re.compile(r"https?://\S+|data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*")
_PICTURE_TYPE = re.compile(r"image/(?:png|jpeg|gif|webp)")
# A row has other names beside its type.
_COMMON = {"type", "id", "index", "extras", "metadata", "cache_control", "annotations", "citations"}
_KEYS = {
    "text": {"text"},
    "image_url": {"image_url"},
    "image": {"url", "base64", "mime_type", "source_type", "data", "source"},
    "file": {"base64", "mime_type", "source_type", "data", "filename"},
    "document": {"source", "title", "context"},
    "search_result": {"source", "title", "content"},
    "custom_tool_call_output": {"output"},
}


def type_of(block: Any) -> str:
    """Return the type that a block has; empty if it has none."""
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else ""


def content_of(content: Any) -> Any:
    """Return a tool's content as servers take it: a list that is no content blocks is JSON."""
    if isinstance(content, str):
        return content
    if (blocks := content_blocks(content)) is None:
        return json.dumps(content, ensure_ascii=False, default=str)
    same = all(ours is theirs for ours, theirs in zip(blocks, content, strict=True))
    return content if same else blocks


def content_blocks(value: Any) -> list[Any] | None:
    """Return the content blocks that a value is; None if it is something else.

    Texts among blocks become blocks. Texts alone are a list of texts.
    """
    if not isinstance(value, list | tuple) or not any(isinstance(item, dict) for item in value):
        return None
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in value]
    return blocks if all(map(_is_block, blocks)) else None


def _is_block(block: Any) -> bool:
    kind = type_of(block)
    if kind not in _KEYS or not block.keys() <= _COMMON | _KEYS[kind]:
        return False
    if not isinstance(block.get("id", ""), str | None):
        return False
    match kind:
        case "text":
            return isinstance(block.get("text"), str)
        case "image_url":
            url = block.get("image_url")
            return isinstance(url, dict) and _matches(_PICTURE, url.get("url"))
        case "image":
            return _is_picture(block)
        case "file":
            return _are_texts(_base64(block), block.get("mime_type"))
        case "document":
            return _is_source(block.get("source"))
        case "search_result":
            words = block.get("content")
            named = _are_texts(block.get("source"), block.get("title"))
            return named and isinstance(words, list) and all(map(_is_block, words))
        case "custom_tool_call_output":
            return isinstance(block.get("output"), str)
    return False


def _base64(block: Mapping[str, Any]) -> Any:
    return block.get("data" if "source_type" in block else "base64")


def _is_picture(block: Mapping[str, Any]) -> bool:
    if "url" in block:
        return _matches(_PICTURE, block["url"])
    source = block.get("source")
    if isinstance(source, dict):
        if source.get("type") == "url":
            return _matches(_PICTURE, source.get("url"))
        data, kind = source.get("data"), source.get("media_type")
    else:
        data, kind = _base64(block), block.get("mime_type")
    return _are_texts(data) and _matches(_PICTURE_TYPE, kind)


def _is_source(source: Any) -> bool:
    """Return whether this is what Anthropic calls the source of a document."""
    if not isinstance(source, dict):
        return False
    match source.get("type"):
        case "base64" | "text":
            return _are_texts(source.get("data"), source.get("media_type"))
        case "url":
            return _are_texts(source.get("url"))
        case "file":
            return _are_texts(source.get("file_id"))
        case "content":
            words = source.get("content")
            return _are_texts(words) or content_blocks(words) is not None
    return False


def _are_texts(*values: Any) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
