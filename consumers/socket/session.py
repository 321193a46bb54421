"""One client in one conversation: what it asks for, and what it is shown, whatever carries its
frames."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import json
import logging
import uuid
from typing import Any, Protocol

from django.db import Error as DatabaseFailure
from django.utils import translation
from django.utils.translation import gettext as _

from ...core import conf
from ...core.asynchronous import in_database_thread, in_rendering_thread
from ...core.errors import (
    BranchRefused,
    ConfigurationError,
    TurnConflict,
    TurnInProgress,
    UnknownTurn,
)
from ...events.models import Conversation
from .. import failures, live
from ..answering import running, tasks
from ..answering.contained import contained
from ..answering.relay import ask_to_stop
from ..answering.running_turn import RunningTurn
from ..answering.turn_task import actor_id_of, go_on, take_turn
from ..attachments.refusals import Refused
from ..attachments.taking import Gone
from ..mixins.agent import AgentMixin
from ..mixins.chat import ChatMixin, find_conversation, overrides
from ..page.frames import Encoder
from . import access, limits
from .addresses import address_of
from .deciding import decide
from .files import drop_sent, files_of, with_files
from .follower import Follower, Send
from .going_on import go_on_soon
from .layer import Member
from .requests import Decide, Say
from .transcripts import MemoryTranscript, RecordedTranscript, Transcripts
from .watching import watch

logger = logging.getLogger("turnlog")

# One may be a turn that ended and was sent again: then the next one starts, as the log decides.
_MOST_ASKED = 2

# A namespace for the identifiers of first messages.
_FIRST_MESSAGES = uuid.UUID("6a9e7f52-6d3c-4f0e-9a9d-0c1f0c8a5b11")


NO_USER = {
    "websocket": "put the routes into channels.auth.AuthMiddlewareStack",
    "http": "put AuthenticationMiddleware into MIDDLEWARE",
}


class Ended(enum.Enum):
    """Why a client may not go on."""

    SIGNED_OUT = "signed-out"
    REFUSED = "refused"


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


class Session:
    """Takes one client's requests, and keeps it up to date with the conversation.

    `chat` has the project's hooks. `send` carries frames to the client, if it is listening.
    """

    share: limits.Share
    """What this client's person has under way. Set it before anything is asked."""
    key: Any = None
    """The key that finds this chat's running turn: the conversation's place, if any."""
    transcripts: Transcripts
    follower: Follower
    listener: live.Listener | None = None
    _member: Member | None = None

    def __init__(self, chat: AgentMixin, *, encoder: Encoder, language: str, send: Send) -> None:
        self.chat = chat
        self.encoder = encoder
        self.language = language
        self._send = send
        # The turns that this client has asked for and that have not ended.
        self._asked: set[uuid.UUID] = set()

    async def find(self) -> None:
        """Find the conversation, and what this person sees of it."""
        conversation = await self.chat.aget_conversation()
        if conversation is None:
            self.key = object()
            self.transcripts = MemoryTranscript(self.key)
        else:
            self.key = live.place_of(conversation.pk)
            self.encoder.files_url = address_of(self.chat)
            self.transcripts = RecordedTranscript(
                conversation.pk,
                self.chat.get_user(),
                show_initial_prompt=self.chat.get_show_initial_prompt(),
                may_decide=self.chat.can_approve,
                lane=self.share.lane,
            )

    async def enter(self, after: int, member: Member) -> None:
        """Listen from now on, and greet the client, which has everything up to a version."""
        await self.find()
        await self.listen(after if self.transcripts.recorded else 0, member)
        await self._send(
            self.encoder.hello(
                max_length=conf.get().max_message_length,
                banner=await self._banner(),
                welcome=await self._welcome(),
                files=files_of(self.chat, self.encoder.files_url),
            )
        )
        if after and not self.transcripts.recorded:
            await self._send(self.encoder.reset())  # The page shows another socket's turns.

    async def listen(self, after: int, member: Member, until: str = "") -> None:
        """Listen to the conversation that was found, without a greeting; see Follower."""
        if self.transcripts.recorded:
            self._member = member
            await member.join(live.group_of(self.key))
        self.listener = live.Listener(self.key)
        if self.transcripts.recorded:
            tasks.spawn_once(watch)  # It ends where nobody listens: so not before.
        self.follower = Follower(
            key=self.key,
            after=after,
            transcripts=self.transcripts,
            encoder=self.encoder,
            listener=self.listener,
            send=self._send,
            when_empty=self._nothing if until else self._begin,
            when_decided=self.go_on,
            until=until,
        )

    async def follow(self) -> None:
        """Keep the client up to date."""
        translation.activate(self.language)
        await contained(self.follower.run())

    async def leave(self) -> None:
        """The client is gone."""
        if self.listener is not None:
            self.listener.close()
            turn = running.find(self.key)
            if turn is not None and not self.transcripts.recorded:
                turn.stop()  # No page can show it any more.
        if self._member is not None:
            await self._member.leave()

    async def _banner(self) -> str:
        try:
            return await contained(self.chat.aget_banner())
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the banner cannot be made: %s", failures.where(error))
        return ""

    async def _welcome(self) -> str:
        try:
            return await contained(self.chat.aget_welcome_message())
        except ConfigurationError as error:
            logger.error("the welcome message cannot be made: %s", error)
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the welcome message cannot be made: %s", failures.where(error))
        return ""

    # Whether this client may go on

    async def ended(self, *, only_session: bool = False) -> Ended | None:
        """Return why this client may not go on; None if it may.

        Reads the session, and the conversation: it may have another owner since the client came.
        `only_session` leaves the conversation as it is known.
        """
        async with self.share.lane:
            alive, conversation = await self._look(again=not only_session)
            self.chat._conversation = conversation
            if not alive:
                return Ended.SIGNED_OUT
            if not only_session and not await self.chat.can_accept():
                return Ended.REFUSED
        return None

    async def _look(self, *, again: bool) -> tuple[bool, Conversation | None]:
        """Return whether the session is alive, and the conversation, `again` from the database."""
        chat = self.chat
        pk = chat.get_conversation_pk()
        if not again or pk is None or overrides(chat, ChatMixin, "aget_conversation"):
            alive = await in_database_thread(access.session_is_alive)(chat.scope)
            return alive, None if again else chat._conversation
        # One hop for both.
        return await _session_and_conversation(chat.scope, pk)

    # What a client asks for

    async def say(self, say: Say, asker: Asker) -> asyncio.Task[None] | None:
        """Start a turn; return its task, which goes on without this client. Raises TooMany."""
        # Looked at here first: a flood is refused without a task, a model or a query.
        turn_id = say.turn_id
        if turn_id in self._asked:
            return None
        turn = running.find(self.key)
        other = turn is not None and not turn.in_log and turn.turn_id != turn_id
        if other or len(self._asked) >= _MOST_ASKED:
            await asker.refused(turn_id, Fate.BUSY, _answer_under_way())
            return None
        if say.instead_of is not None and not self.transcripts.recorded:
            await asker.refused(turn_id, Fate.REPLACED, _not_there())
            return None
        return self._spawn_turn(say, asker)

    async def choose(self, turn_id: uuid.UUID) -> str:
        """Make a turn current that was replaced; return why it cannot be, "" if it is."""
        conversation = await self.chat.aget_conversation()
        if conversation is None:
            return _not_there()
        try:
            await conversation.achoose_branch(turn_id, self.chat.get_user())
        except TurnInProgress:
            return _answer_under_way()
        except (UnknownTurn, BranchRefused):
            return _not_there()
        finally:
            self.look_again()  # The page may be behind.
        return ""

    async def decide(self, asked: Decide) -> None:
        """Record a decision about a call that waits, and go on if it was the last one.

        Raises NotDecided.
        """
        await decide(self.chat, asked)
        self.go_on(asked.turn_id)

    def go_on(self, turn_id: uuid.UUID) -> None:
        """Go on with this person's turn, if all its calls are decided and no process does.

        It acts in this person's name, with what they may see: so it is done where they are. If they
        have too many answers under way, it is done when there is room.
        """
        why = go_on_soon(self.share, (self.key, turn_id), lambda: self._go_on(turn_id))
        if why and self.listener is not None:
            tasks.spawn(self.notice(why), tasks.beside, contextvars.copy_context())

    async def _go_on(self, turn_id: uuid.UUID) -> None:
        translation.activate(self.language)
        try:
            await contained(go_on(self.chat, self.key, turn_id))
        except Exception as error:  # noqa: BLE001 - the turn waits, and is looked at again
            logger.error("a turn could not go on: %s", failures.where(error))
            away = isinstance(error, DatabaseFailure)
            await self.notice(database_away() if away else _could_not_be_done())

    async def stop(self, turn_id: uuid.UUID) -> None:
        """End a turn's answer here, if this person asked for it; also if it waits."""
        recorded = self.transcripts.recorded
        mine = await actor_id_of(self.chat.get_user()) if recorded else None
        turn = running.find(self.key)
        # One that waits is in the log, and its task may be about to end.
        if turn is not None and turn.turn_id == turn_id and not turn.in_log:
            if turn.actor_id == mine:
                turn.stop()
        elif recorded and not await self._stop_waiting(turn_id, mine):
            await ask_to_stop(self.key, turn_id, mine)

    async def _stop_waiting(self, turn_id: uuid.UUID, mine: uuid.UUID | None) -> bool:
        conversation = await self.chat.aget_conversation()
        waiting = None if conversation is None else await conversation.awaiting()
        if conversation is None or waiting is None:
            return False
        if (waiting.started.turn_id, waiting.started.actor_id) != (turn_id, mine):
            return False
        return bool(await conversation.acancel_waiting(turn_id))

    async def source(self, turn_id: uuid.UUID) -> str:
        """Return the frame with the Markdown of a turn's answer, the same for all clients."""
        content = await self.transcripts.source(turn_id)
        told = {"type": "source", "turn_id": str(turn_id), "content": content}
        return await in_rendering_thread(json.dumps)(told, ensure_ascii=False)

    def _spawn_turn(self, say: Say, asker: Asker, *, initial: bool = False) -> asyncio.Task[None]:
        """Take a turn as a task of the process. Raises TooMany."""
        turn_id = say.turn_id
        with contextlib.ExitStack() as held:
            held.enter_context(self.share.turn())
            held.callback(self._asked.discard, turn_id)
            self._asked.add(turn_id)
            turn = self._take_turn(say, asker, initial=initial)
            # In this connection's context: a project may choose by it whose data it sees.
            task = tasks.spawn(turn, tasks.turns, contextvars.copy_context())
            kept = held.pop_all()
            task.add_done_callback(lambda task: kept.close())
            return task

    async def _take_turn(self, say: Say, asker: Asker, *, initial: bool) -> None:
        translation.activate(self.language)
        turn_id = say.turn_id
        if not self.transcripts.recorded and await self.transcripts.shows(turn_id):
            return  # It was sent again, and has been answered.
        try:
            files = say.files
            said = await with_files(self.chat, say.text or "", files) if files else say.text
            turn = await contained(
                take_turn(
                    self.chat,
                    self.key,
                    said,
                    turn_id,
                    initial=initial,
                    begun=asker.begun,
                    instead_of=say.instead_of,
                )
            )
            self._asked.discard(turn_id)
            if files:
                await drop_sent(self.chat, files)
            if turn is not None:
                self.transcripts.keep(turn)
            elif await self.transcripts.shows(turn_id):
                # The page may not show it: it could be above what the page began with.
                await asker.known(turn_id)
            else:
                # The page sent it again and will not see it: it was cleared meanwhile.
                cleared = _("This message was sent before and then cleared.")
                await asker.refused(turn_id, Fate.CLEARED, cleared)
            if turn is None or not self.transcripts.recorded:
                self.look_again()
        except Gone as error:
            # Its files are dropped once a turn has them: perhaps it was sent before.
            if self.transcripts.recorded and await self.transcripts.shows(turn_id):
                await asker.known(turn_id)
                self.look_again()
            else:
                await asker.refused(turn_id, Fate.FILES, str(error))
        except Refused as error:
            await asker.refused(turn_id, Fate.FILES, str(error))
        except TurnInProgress:
            if not initial:
                await asker.refused(turn_id, Fate.BUSY, _answer_under_way())
                # Perhaps another process answers, and this page does not know yet.
                self.look_again()
        except (UnknownTurn, BranchRefused):
            await asker.refused(turn_id, Fate.REPLACED, _not_there())
            self.look_again()  # Another page may have chosen another branch.
        except TurnConflict:
            other = _("This message was sent before with other words.")
            await asker.refused(turn_id, Fate.CONFLICT, other)
        except DatabaseFailure as error:
            logger.error("a turn could not be started: %s", failures.where(error))
            await asker.refused(turn_id, Fate.DATABASE, database_away())
        except Exception as error:  # noqa: BLE001 - the words go back to the page
            logger.error("a turn could not be started: %s", failures.where(error))
            failed = _("This message could not be sent. Try again.")
            await asker.refused(turn_id, Fate.FAILED, failed)

    async def _begin(self, cleared: int) -> None:
        """Send the first user message in the person's name, if there is one.

        `cleared` is the version of the last clearing: what is sent since then has one identifier,
        so that two pages that open at once send one message.
        """
        try:
            first = await contained(self.chat.aget_llm_first_user_message())
        except ConfigurationError as error:
            logger.error("the first message cannot be made: %s", error)
            return
        except DatabaseFailure:
            raise  # The page comes back later.
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the first message cannot be made: %s", failures.where(error))
            return
        if first:
            person = getattr(self.chat.get_user(), "pk", None)
            known = f"{self.key}/{cleared}/{person}"
            recorded = self.transcripts.recorded
            turn_id = uuid.uuid5(_FIRST_MESSAGES, known) if recorded else uuid.uuid4()
            with contextlib.suppress(limits.TooMany):  # It is sent when the page is opened again.
                self._spawn_turn(Say(first, turn_id), AmongFrames(self), initial=True)

    async def _nothing(self, cleared: int) -> None:
        """Leave an empty conversation as it is."""

    async def notice(self, text: str, turn_id: str = "") -> None:
        """Tell the user something; with `turn_id`, that this message was refused."""
        await self._send(self.encoder.notice(text, level="error", refused_turn_id=turn_id))

    # News

    def look_again(self) -> None:
        """Look whether the client lacks something."""
        if self.listener is not None:
            self.listener.wake(log_changed=True)

    def hear(self, kind: str, message: dict[str, Any]) -> None:
        """Take in a message of the channel layer: it must not wait."""
        if self.listener is None:
            return
        if kind == "turnlog.news":  # A process appended to the log, perhaps this one.
            version = message.get("version")
            if isinstance(version, int) and version > self.listener.seen:
                self.listener.wake(log_changed=True)
        elif kind == "turnlog.progress":  # Another process is answering here.
            self.follower.hear(message)
            self.listener.wake(log_changed=False)


class AmongFrames:
    """Asks for a turn, and lets the client hear of it among its frames."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begun(self, turn: RunningTurn) -> None:
        """Do nothing: the turn itself is a frame."""

    async def known(self, turn_id: uuid.UUID) -> None:
        await self._session._send([json.dumps({"type": "known", "turn_id": str(turn_id)})])

    async def refused(self, turn_id: uuid.UUID, fate: Fate, text: str) -> None:
        await self._session.notice(text, str(turn_id))


async def why_not(chat: AgentMixin) -> str:
    """Return why this person may not enter, in at most 123 bytes; "" if they may."""
    if not await chat.can_accept():
        if "user" not in chat.scope:
            return f"it has no user: {NO_USER[chat.scope['type']]}"
        return "can_accept() said no"
    if chat.get_conversation_pk() is not None and await chat.aget_conversation() is None:
        return "there is no such conversation"
    return ""


@in_database_thread
def _session_and_conversation(scope: Any, pk: str) -> tuple[bool, Conversation | None]:
    return access.session_is_alive(scope), find_conversation(pk)


def _not_there() -> str:
    return _("That message cannot be changed any more: the page shows what there is now.")


def _answer_under_way() -> str:
    return _("Another answer is still being written: wait for it.")


def _could_not_be_done() -> str:
    return _("This could not be done. Try again in a moment.")


def database_away() -> str:
    """Return what a user is told while the database is away."""
    return _("The conversation cannot be reached right now. Your words are here: try again soon.")
