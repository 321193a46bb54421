"""One client in one conversation: what it asks for, and what it is shown, whatever carries its
frames."""

from __future__ import annotations

import contextvars
import enum
import json
import logging
import uuid
from typing import Any

from django.db import Error as DatabaseFailure
from django.utils import translation
from django.utils.translation import gettext as _

from ...core import conf
from ...core.asynchronous import in_database_thread, in_rendering_thread
from ...core.errors import (
    BranchRefused,
    ConfigurationError,
    TurnInProgress,
    UnknownTurn,
)
from ...events.models import Conversation
from .. import failures, live
from ..answering import running, tasks
from ..answering.contained import contained
from ..answering.relay import ask_to_stop
from ..answering.running_turn import RunningTurn
from ..answering.turn_task import actor_id_of, go_on
from ..mixins.agent import AgentMixin
from ..mixins.chat import ChatMixin, find_conversation, overrides
from ..page.frames import Encoder
from . import access, limits
from .addresses import address_of
from .deciding import decide
from .files import files_of
from .follower import Follower, Send
from .going_on import go_on_soon
from .layer import Member
from .requests import Decide
from .saying import Fate, Saying, answer_under_way, database_away, not_there
from .transcripts import MemoryTranscript, RecordedTranscript, Transcripts
from .watching import watch

logger = logging.getLogger("turnlog")

NO_USER = {
    "websocket": "put the routes into channels.auth.AuthMiddlewareStack",
    "http": "put AuthenticationMiddleware into MIDDLEWARE",
}


class Ended(enum.Enum):
    """Why a client may not go on."""

    SIGNED_OUT = "signed-out"
    REFUSED = "refused"


class Session:
    """Takes one client's requests, and keeps it up to date with the conversation.

    `chat` has the project's hooks. `send` carries frames to the client, if it is listening.
    """

    share: limits.Share
    """What this client's person has under way. Set it before anything is asked."""
    key: Any = None
    """The key that finds this chat's running turn: the conversation's place, if any."""
    transcripts: Transcripts
    saying: Saying
    follower: Follower
    listener: live.Listener | None = None
    _member: Member | None = None

    def __init__(self, chat: AgentMixin, *, encoder: Encoder, language: str, send: Send) -> None:
        self.chat = chat
        self.encoder = encoder
        self.language = language
        self._send = send

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
        self.saying = Saying(
            self.chat,
            key=self.key,
            transcripts=self.transcripts,
            share=self.share,
            language=self.language,
            look_again=self.look_again,
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

    async def choose(self, turn_id: uuid.UUID) -> str:
        """Make a turn current that was replaced; return why it cannot be, "" if it is."""
        conversation = await self.chat.aget_conversation()
        if conversation is None:
            return not_there()
        try:
            await conversation.achoose_branch(turn_id, self.chat.get_user())
        except TurnInProgress:
            return answer_under_way()
        except (UnknownTurn, BranchRefused):
            return not_there()
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

    async def _begin(self, cleared: int) -> None:
        await self.saying.begin(cleared, AmongFrames(self))

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


def _could_not_be_done() -> str:
    return _("This could not be done. Try again in a moment.")
