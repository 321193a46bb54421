"""A person's message with its files: from the uploads that it names, or from what was sent before.

An upload's name is a UUID. `12.1` names the file in block 1 of the message at version 12.
"""

from __future__ import annotations

import re
import uuid
from base64 import b64encode
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, cast

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from ...core import conf
from ...core.attached import DESCRIBED, Kind, as_text_block
from ...events import uploads
from .checking import PDF, TEXT, Checked
from .recorded import file_of
from .refusals import Refused

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage

_EARLIER = re.compile(r"([1-9]\d{0,9})\.(\d{1,4})")


class Gone(Refused):
    """A file that a message names is not there, or not there any more."""


def message_with(
    text: str,
    names: Sequence[str],
    *,
    stream_id: int,
    user: Any,
    person: str,
    taken: Collection[str],
) -> HumanMessage:
    """Return what a person says, with the files that are named. It queries the database.

    `person` is the name under which uploads are kept, `taken` what the model takes. Raises Gone,
    and Refused if the model does not take a file or they are too large together.
    """
    files = _files(names, stream_id, user, person)
    for file in files:
        require_taken(file.mime_type, taken)
    _require_size(files)
    return _message(text, files)


def uploads_in(names: Sequence[str]) -> list[uuid.UUID]:
    """Return the uploads among a message's files. Raises Gone for what is no name of a file."""
    try:
        return [uuid.UUID(name) for name in names if not _EARLIER.fullmatch(name)]
    except ValueError:
        raise _gone() from None


def require_taken(mime_type: str, taken: Collection[str]) -> None:
    """Raise Refused if the chat's model does not take files of a type."""
    if mime_type == TEXT:
        sort, sentence = "text", _("This chat takes no files of text.")
    elif mime_type == PDF:
        sort, sentence = "pdf", _("This chat's model reads no PDFs.")
    else:
        sort, sentence = "picture", _("This chat's model cannot look at pictures.")
    if sort not in taken:
        raise Refused(sentence)


def _files(names: Sequence[str], stream_id: int, user: Any, person: str) -> list[Checked]:
    ids = uploads_in(names)
    rows = uploads.found(stream_id, person, ids)
    if rows is None:
        raise _gone()
    by_id = {
        str(row.pk): Checked(
            cast(Kind, row.kind),
            row.name,
            row.mime_type,
            bytes(row.content),
            row.width,
            row.height,
        )
        for row in rows
    }
    found = []
    for name in names:
        if match := _EARLIER.fullmatch(name):
            file = file_of(stream_id, user, int(match[1]), int(match[2]))
            if file is None:
                raise _gone()
            found.append(file)
        else:
            found.append(by_id[str(uuid.UUID(name))])
    return found


def _require_size(files: Sequence[Checked]) -> None:
    size, largest = sum(len(file.content) for file in files), conf.get().max_file_size
    if size > largest:
        raise Refused(
            _("These files have {size}; at most {largest} can be sent with one message.").format(
                size=filesizeformat(size), largest=filesizeformat(largest)
            )
        )


def _message(text: str, files: Sequence[Checked]) -> HumanMessage:
    from langchain_core.messages import HumanMessage

    blocks: list[Any] = [{"type": "text", "text": text}] if text.strip() else []
    described = []
    for file in files:
        about = {"block": len(blocks), "name": file.name, "mime_type": file.mime_type}
        if file.width:
            about |= {"width": file.width, "height": file.height}
        described.append(about)
        blocks.append(_block(file))
    return HumanMessage(content=blocks, additional_kwargs={DESCRIBED: described})


def _block(file: Checked) -> dict[str, Any]:
    if file.mime_type == TEXT:
        return as_text_block(file.name, file.content.decode())
    data = b64encode(file.content).decode()
    if file.kind == "picture":
        return {"type": "image", "base64": data, "mime_type": file.mime_type}
    # OpenAI demands a name.
    extras = {"filename": file.name}
    return {"type": "file", "base64": data, "mime_type": file.mime_type, "extras": extras}


def _gone() -> Gone:
    return Gone(_("A file of this message is not here any more. Remove it, and add it again."))
