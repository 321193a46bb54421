"""What somebody says becomes a turn, or a sentence that says why it does not."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import logging
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from django.db import Error as DatabaseFailure
from django.utils import translation
from django.utils.translation import gettext as _

from ...core.errors import (
    BranchRefused,
    ConfigurationError,
    TurnConflict,
    TurnInProgress,
    UnknownTurn,
)
from .. import failures
from ..answering import running, tasks
from ..answering.contained import contained
from ..answering.running_turn import RunningTurn
from ..answering.turn_task import take_turn
from ..attachments.refusals import Refused
from ..attachments.taking import Gone
from ..mixins.agent import AgentMixin
from . import limits
from .files import drop_sent, with_files
from .requests import Say
from .transcripts import Transcripts

logger = logging.getLogger("turnlog")

# One may be a turn that ended and was sent again: then the next one starts, as the log decides.
_MOST_ASKED = 2

# A namespace for the identifiers of first messages.
_FIRST_MESSAGES = uuid.UUID("6a9e7f52-6d3c-4f0e-9a9d-0c1f0c8a5b11")


class Fate(enum.Enum):
    """Why a message did not become a turn."""

    BUSY = enum.auto()
    CONFLICT = enum.auto()
    CLEARED = enum.auto()
    FILES = enum.auto()
    REPLACED = enum.auto()
    DATABASE = enum.auto()
    FAILED = enum.auto()


class Asker(Protocol):
    """Who asked for a turn, and hears what becomes of it."""

    def begun(self, turn: RunningTurn) -> None:
        """The words are committed."""

    async def known(self, turn_id: uuid.UUID) -> None:
        """The turn was started before, and is shown."""

    async def refused(self, turn_id: uuid.UUID, fate: Fate, text: str) -> None:
        """There is no such turn. `text` is a sentence for the user."""


class Saying:
    """Starts the turns that one client asks for, in one conversation.

    `key` finds the chat's running turn. `look_again` is called when the client may lack something.
    """

    def __init__(
        self,
        chat: AgentMixin,
        *,
        key: Any,
        transcripts: Transcripts,
        share: limits.Share,
        language: str,
        look_again: Callable[[], None],
    ) -> None:
        self._chat = chat
        self._key = key
        self._transcripts = transcripts
        self._share = share
        self._language = language
        self._look_again = look_again
        # The turns that this client has asked for and that have not ended: whether it asked again.
        self._asked: dict[uuid.UUID, bool] = {}

    async def say(self, say: Say, asker: Asker) -> asyncio.Task[None] | None:
        """Start a turn; return its task, which goes on without this client. Raises TooMany."""
        # Looked at here first: a flood is refused without a task, a model or a query.
        turn_id = say.turn_id
        if turn_id in self._asked:
            self._asked[turn_id] = True
            return None
        turn = running.find(self._key)
        other = turn is not None and not turn.in_log and turn.turn_id != turn_id
        if other or len(self._asked) >= _MOST_ASKED:
            await asker.refused(turn_id, Fate.BUSY, answer_under_way())
            return None
        if say.instead_of is not None and not self._transcripts.recorded:
            await asker.refused(turn_id, Fate.REPLACED, not_there())
            return None
        return self._spawn_turn(say, asker)

    async def begin(self, cleared: int, asker: Asker) -> None:
        """Send the first user message in the person's name, if there is one.

        `cleared` is the version of the last clearing: what is sent since then has one identifier,
        so that two pages that open at once send one message.
        """
        try:
            first = await contained(self._chat.aget_llm_first_user_message())
        except ConfigurationError as error:
            logger.error("the first message cannot be made: %s", error)
            return
        except DatabaseFailure:
            raise  # The page comes back later.
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the first message cannot be made: %s", failures.where(error))
            return
        if first:
            person = getattr(self._chat.get_user(), "pk", None)
            known = f"{self._key}/{cleared}/{person}"
            recorded = self._transcripts.recorded
            turn_id = uuid.uuid5(_FIRST_MESSAGES, known) if recorded else uuid.uuid4()
            with contextlib.suppress(limits.TooMany):  # It is sent when the page is opened again.
                self._spawn_turn(Say(first, turn_id), asker, initial=True)

    def _spawn_turn(self, say: Say, asker: Asker, *, initial: bool = False) -> asyncio.Task[None]:
        """Take a turn as a task of the process. Raises TooMany."""
        turn_id = say.turn_id
        with contextlib.ExitStack() as held:
            held.enter_context(self._share.turn())
            held.callback(self._asked.pop, turn_id, None)
            self._asked[turn_id] = False
            turn = self._take_turn(say, asker, initial=initial)
            # In this connection's context: a project may choose by it whose data it sees.
            task = tasks.spawn(turn, tasks.turns, contextvars.copy_context())
            kept = held.pop_all()
            task.add_done_callback(lambda task: kept.close())
            return task

    async def _take_turn(self, say: Say, asker: Asker, *, initial: bool) -> None:
        translation.activate(self._language)
        turn_id = say.turn_id
        if not self._transcripts.recorded and await self._transcripts.shows(turn_id):
            return  # It was sent again, and has been answered.
        try:
            files = say.files
            said = await with_files(self._chat, say.text or "", files) if files else say.text
            turn = await contained(
                take_turn(
                    self._chat,
                    self._key,
                    said,
                    turn_id,
                    initial=initial,
                    begun=asker.begun,
                    instead_of=say.instead_of,
                )
            )
            again = self._asked.pop(turn_id, False)
            if files:
                await drop_sent(self._chat, files)
            if turn is not None:
                self._transcripts.keep(turn)
                if again:  # Perhaps after the client had heard its end.
                    await asker.known(turn_id)
            elif await self._transcripts.shows(turn_id):
                # The page may not show it: it could be above what the page began with.
                await asker.known(turn_id)
            else:
                # The page sent it again and will not see it: it was cleared meanwhile.
                cleared = _("This message was sent before and then cleared.")
                await self._refuse(asker, turn_id, Fate.CLEARED, cleared)
            if turn is None or not self._transcripts.recorded:
                self._look_again()
        except Gone as error:
            # Its files are dropped once a turn has them: perhaps it was sent before.
            if self._transcripts.recorded and await self._transcripts.shows(turn_id):
                await asker.known(turn_id)
                self._look_again()
            else:
                await self._refuse(asker, turn_id, Fate.FILES, str(error))
        except Refused as error:
            await self._refuse(asker, turn_id, Fate.FILES, str(error))
        except TurnInProgress:
            if not initial:
                await self._refuse(asker, turn_id, Fate.BUSY, answer_under_way())
                # Perhaps another process answers, and this page does not know yet.
                self._look_again()
        except (UnknownTurn, BranchRefused):
            await self._refuse(asker, turn_id, Fate.REPLACED, not_there())
            self._look_again()  # Another page may have chosen another branch.
        except TurnConflict:
            other = _("This message was sent before with other words.")
            await self._refuse(asker, turn_id, Fate.CONFLICT, other)
        except DatabaseFailure as error:
            logger.error("a turn could not be started: %s", failures.where(error))
            await self._refuse(asker, turn_id, Fate.DATABASE, database_away())
        except Exception as error:  # noqa: BLE001 - the words go back to the page
            logger.error("a turn could not be started: %s", failures.where(error))
            failed = _("This message could not be sent. Try again.")
            await self._refuse(asker, turn_id, Fate.FAILED, failed)

    async def _refuse(self, asker: Asker, turn_id: uuid.UUID, fate: Fate, text: str) -> None:
        # What the client sends from now on is another attempt.
        self._asked.pop(turn_id, None)
        await asker.refused(turn_id, fate, text)


def not_there() -> str:
    return _("That message cannot be changed any more: the page shows what there is now.")


def answer_under_way() -> str:
    return _("Another answer is still being written: wait for it.")


def database_away() -> str:
    """Return what a user is told while the database is away."""
    return _("The conversation cannot be reached right now. Your words are here: try again soon.")
