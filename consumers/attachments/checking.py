"""What a file is, judged by what is in it. Neither its name nor the client's word counts."""

from __future__ import annotations

import re
from typing import NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from ...core import conf
from ...core.attached import Kind
from . import pictures
from .names import plain_name
from .refusals import Refused

TEXT_CHARACTERS = 200_000
"""The longest file of plain text: a model reads all of it."""

PDF = "application/pdf"
TEXT = "text/plain"

# The codes of Korean, Windows and the web that a file of text may have; of them, the first that
# reads it. UTF-16 says itself that it is one.
_ENCODINGS = ("utf-8-sig", "cp949")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")


class Checked(NamedTuple):
    """A file as it is kept: its name, its type of a fixed list, and its bytes."""

    kind: Kind
    name: str
    mime_type: str
    content: bytes
    width: int = 0
    height: int = 0


def checked(name: str, data: bytes) -> Checked:
    """Return a file as it may be kept and sent to a model. Raises Refused.

    Takes long: call it in a slow thread.
    """
    largest = conf.get().max_file_size
    if not data:
        raise Refused(_("This file is empty."))
    if len(data) > largest:
        raise Refused(too_large(len(data)))
    if pictures.is_picture(data):
        return _picture(name, data)
    if data.lstrip()[:5] == b"%PDF-":
        return _pdf(name, data)
    return _text(name, data)


def too_large(size: int) -> str:
    """Return the sentence for a file of so many bytes."""
    return _("This file has {size}; at most {largest} can be sent.").format(
        size=filesizeformat(size), largest=filesizeformat(conf.get().max_file_size)
    )


def _picture(name: str, data: bytes) -> Checked:
    if not pictures.is_available():
        raise Refused(_("Pictures cannot be read here. Tell the site's administrator."))
    from .drawing import redrawn  # lazy: Pillow is optional, and slow to import

    drawn = redrawn(data, conf.get().max_picture_side)
    stem = plain_name(name, _("picture"))
    return Checked("picture", stem, drawn.mime_type, drawn.content, drawn.width, drawn.height)


def _pdf(name: str, data: bytes) -> Checked:
    if b"%%EOF" not in data[-2_048:]:
        raise Refused(_("This PDF cannot be read: it is damaged or cut off."))
    if b"/Encrypt" in data[-8_192:]:
        raise Refused(_("This PDF is locked. Send it without a password."))
    return Checked("file", _with_suffix(plain_name(name, _("document")), ".pdf"), PDF, data)


def _text(name: str, data: bytes) -> Checked:
    text = _decoded(data)
    if text is None:
        raise Refused(
            _("This file cannot be read here: send a picture, a PDF or a file of plain text.")
        )
    if not text.strip():
        raise Refused(_("This file is empty."))
    if len(text) > TEXT_CHARACTERS:
        raise Refused(
            _("This text has {length} characters; at most {longest} can be sent in a file.").format(
                length=len(text), longest=TEXT_CHARACTERS
            )
        )
    return Checked("file", plain_name(name, _("text")), TEXT, text.encode())


def _decoded(data: bytes) -> str | None:
    encodings = ("utf-16",) if data.startswith(_UTF_16) else _ENCODINGS
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _NO_TEXT.search(text) else text.replace("\r\n", "\n").replace("\r", "\n")
    return None


def _with_suffix(name: str, suffix: str) -> str:
    return name if name.lower().endswith(suffix) else f"{name}{suffix}"
