"""A file that somebody sent, as a response that can do nothing but show it."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import content_disposition_header

from .checking import PDF, TEXT, Checked
from .names import plain_name
from .pictures import FORMATS, is_picture

_SUFFIXES = {
    **{mime_type: f".{name.lower()}" for name, mime_type in FORMATS.items()},
    "image/jpeg": ".jpg",
    PDF: ".pdf",
    TEXT: ".txt",
}
_ANY = "application/octet-stream"

INERT = {
    # No script of the file's runs, and nothing guesses what else it could be.
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def served(request: HttpRequest, file: Checked, **headers: str) -> HttpResponse:
    """Return a file for a page, or for its reader's folder: only a picture is shown as it is.

    A browser keeps it, and asks each time whether it may still have it.
    """
    tag = f'"{hashlib.sha256(file.content).hexdigest()[:32]}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag, **INERT, **headers}
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers=headers)
    mime_type, is_shown = _type_of(file)
    name = _name_of(file, mime_type)
    disposition: Any = content_disposition_header(not is_shown, name)
    headers["Content-Disposition"] = disposition
    kind = f"{TEXT}; charset=utf-8" if mime_type == TEXT else mime_type
    return HttpResponse(file.content, content_type=kind, headers=headers)


def _type_of(file: Checked) -> tuple[str, bool]:
    """Return a type of the fixed list, and whether a browser may show it: a project may have
    recorded anything."""
    if file.mime_type in FORMATS.values() and is_picture(file.content):
        return file.mime_type, True
    return (file.mime_type if file.mime_type in (PDF, TEXT) else _ANY), False


def _name_of(file: Checked, mime_type: str) -> str:
    name, suffix = plain_name(file.name, file.kind), _SUFFIXES.get(mime_type, "")
    # A file of text keeps its own: .csv, .md.
    if mime_type == TEXT and "." in name:
        return name
    if name.lower().endswith((suffix, ".jpeg")) and mime_type != _ANY:
        return name
    return f"{name.rpartition('.')[0] or name}{suffix}"
