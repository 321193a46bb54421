"""The files of a message: what a page may send, and what becomes of it when the message is sent."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.core.files.uploadedfile import UploadedFile
from django.db import Error as DatabaseFailure
from django.utils.translation import gettext as _

from ...core import conf
from ...core.asynchronous import in_database_thread, in_slow_thread
from ...events import uploads
from .. import failures
from ..answering import tasks
from ..attachments import pictures
from ..attachments.checking import Checked, checked, too_large
from ..attachments.refusals import Refused
from ..attachments.taking import message_with, require_taken, uploads_in
from ..mixins.agent import AgentMixin
from ..page.frames import FileLimits
from . import limits
from .access import person_of

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage

logger = logging.getLogger("turnlog")

DROP_SECONDS = 600.0
"""How often a process looks for files that nobody has sent in time."""

_TYPES = {
    "picture": tuple(pictures.FORMATS.values()),
    "pdf": ("application/pdf",),
    "text": ("text/*", ".txt", ".md", ".csv", ".tsv", ".json", ".log"),
}


def files_of(chat: AgentMixin, url: str) -> FileLimits | None:
    """Return what a page may send besides words, to this address; None if nothing."""
    taken = chat.get_llm_attachments()
    types = [
        each
        for sort, each in _TYPES.items()
        if sort in taken and (sort != "picture" or pictures.is_available())
    ]
    if not url or not types:
        return None
    settings = conf.get()
    return {
        "url": url,
        "accept": ",".join(one for each in types for one in each),
        "most": settings.max_files,
        "largest": settings.max_file_size,
    }


async def kept(
    chat: AgentMixin, share: limits.Share, check: Callable[[], Checked]
) -> tuple[uuid.UUID, Checked]:
    """Keep what `check` returns until its message is sent; return its name there, too.

    Raises Refused, NoRoom, NotStored.
    """
    conversation = await chat.aget_conversation()
    if conversation is None:
        raise _no_files()
    # One after the other, as what else this person has computed.
    async with share.lane:
        file = await in_slow_thread(check)()
    require_taken(file.mime_type, chat.get_llm_attachments())
    user = chat.get_user()
    guest = user is None or not user.is_authenticated
    name = await in_database_thread(uploads.keep)(
        conversation.pk, person_of(user), guest=guest, **file._asdict()
    )
    _drop_in_time()
    return name, file


def checked_upload(given: UploadedFile[Any]) -> Checked:
    """Return a file of a form as it may be kept. Raises Refused. Takes long."""
    size = given.size or 0
    if size > conf.get().max_file_size:
        raise Refused(too_large(size))
    return checked(given.name or "", given.read())


def no_room(error: uploads.NoRoom) -> str:
    """Return the sentence for files that find no room."""
    if error.of_all:
        return _("Too many files wait to be sent here: try again in a moment.")
    return _("Too many of your files wait to be sent: send or remove some of them.")


async def with_files(chat: AgentMixin, text: str, names: Sequence[str]) -> HumanMessage:
    """Return a message with the files that it names. Raises Refused."""
    conversation = await chat.aget_conversation()
    if conversation is None:
        raise _no_files()
    return await in_database_thread(message_with)(
        text,
        names,
        stream_id=conversation.pk,
        user=chat.get_user(),
        person=person_of(chat.get_user()),
        taken=chat.get_llm_attachments(),
    )


async def drop_sent(chat: AgentMixin, names: Sequence[str]) -> None:
    """Drop the uploads of a message whose turn is in the log."""
    conversation = await chat.aget_conversation()
    if conversation is None or not (ids := uploads_in(names)):
        return
    person = person_of(chat.get_user())
    try:
        await in_database_thread(uploads.drop)(conversation.pk, person, ids)
    except DatabaseFailure as error:
        # The turn is recorded all the same, and they go when their time is over.
        logger.warning("files that were sent could not be dropped: %s", failures.where(error))


def _no_files() -> Refused:
    return Refused(_("This chat keeps no conversation, so it takes no files."))


def _drop_in_time() -> None:
    """See to it that what is never sent is dropped, also if nobody sends anything any more."""
    tenant, loop = conf.tenant(), asyncio.get_running_loop()
    dropping = _dropping.get(tenant)
    if dropping is None or dropping.done() or dropping.get_loop() is not loop:
        _dropping[tenant] = tasks.spawn(_drop(), tasks.beside, contextvars.copy_context())


_dropping: dict[str, asyncio.Task[None]] = {}


async def _drop() -> None:
    waiting = True
    while waiting:
        await asyncio.sleep(DROP_SECONDS)
        waiting = await in_database_thread(uploads.drop_expired)()
