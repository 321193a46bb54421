"""The WebSocket of a chat: takes requests, sends frames, and follows the conversation."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils import translation
from django.utils.translation import gettext as _

from ...core import conf
from ...core.asynchronous import in_database_thread
from ...core.errors import ConfigurationError, TurnConflict, TurnInProgress
from ...core.wellformed import wellformed
from ...events.models import Conversation
from .. import failures, live
from ..answering import running, tasks
from ..answering.contained import contained
from ..answering.langchain import import_ahead
from ..answering.relay import ask_to_stop
from ..answering.turn_task import actor_id_of, take_turn
from ..mixins.agent import AgentMixin
from ..mixins.chat import ChatMixin, find_conversation, overrides
from ..page.frames import Encoder, HtmlEncoder, JsonEncoder
from . import access, limits
from .aborting import abort
from .follower import Follower
from .layer_socket import LayerSocket
from .origin import refused_origin
from .requests import BadRequest, Earlier, Ping, Say, Stop, parse_request
from .transcripts import MemoryTranscript, RecordedTranscript, Transcripts
from .watching import watch

logger = logging.getLogger("turnlog")

SESSION_ENDED = 4401
NOT_ALLOWED = 4403
TRY_AGAIN_LATER = 1013

SEND_SECONDS = 20.0
"""How long a client may leave a frame unread."""

# One may be a turn that ended and was sent again: then the next one starts, as the log decides.
_MOST_ASKED = 2

# A namespace for the identifiers of first messages.
_FIRST_MESSAGES = uuid.UUID("6a9e7f52-6d3c-4f0e-9a9d-0c1f0c8a5b11")


class ChatSocket(AgentMixin, LayerSocket):
    """Accepts a socket, handles requests and keeps the page up to date with the conversation."""

    encoder: Encoder
    transcripts: Transcripts
    follower: Follower
    key: Any = None
    """The key that finds this chat's running turn: the conversation's primary key, if any."""
    listener: live.Listener | None = None
    _share: limits.Share | None = None
    _pump: asyncio.Task[None] | None = None
    _main: asyncio.Task[Any] | None = None
    _closed: bool = False
    _cut_off: bool = False
    _abort: Callable[[], None]

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        # Called while the routes are loaded: the server starts meanwhile.
        import_ahead()
        return super().as_asgi(**initkwargs)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._main = asyncio.current_task()
        self._abort = partial(abort, receive)
        self._pace = limits.Pace()
        # The turns that this socket has asked for and that have not ended.
        self._asked: set[uuid.UUID] = set()
        # Not in disconnect(): an exception in a handler skips it.
        try:
            await contained(super().__call__(scope, receive, send))
        except asyncio.CancelledError:
            if not self._cut_off:
                raise
        finally:
            await self._clean_up()

    async def connect(self) -> None:
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        self.language = _language(query.get("lang", [""])[0])
        translation.activate(self.language)
        self.encoder = JsonEncoder() if query.get("format") == ["json"] else HtmlEncoder()
        accepted = False
        try:
            if reason := refused_origin(self.scope):
                self._note_refusal(logging.WARNING, reason)
                await self.close()  # Before accept: a 403.
                return
            if reason := await self._why_not():
                level = logging.INFO if "user" in self.scope else logging.WARNING
                self._note_refusal(level, reason)
                # A script in a browser sees the code of a close, and not the status of a handshake.
                if query.get("refuse") == ["close"]:
                    await self.accept()
                    await self.close(NOT_ALLOWED, reason if settings.DEBUG else None)
                else:
                    await self.close()
                return
            accepted = True
            await self.accept()
            if not access.is_the_pages_person(self.scope, query.get("person", [""])[0]):
                await self.close(SESSION_ENDED)
                return
            self._share = limits.enter(self.scope)
            await self._enter(_number(query.get("after", ["0"])[0]))
        except limits.TooMany as error:
            await self._refuse(str(error))
            await self.close(TRY_AGAIN_LATER)
        except ConfigurationError as error:
            logger.error("a chat could not be opened: %s", error)  # It names settings, no people.
            if not accepted:
                await self.accept()
            await self._refuse(failures.sentence({"kind": "configuration"}))
            await self.close(TRY_AGAIN_LATER)
        except DatabaseFailure as error:
            logger.error("a chat could not be opened: %s", failures.where(error))
            if not accepted:
                # A refused page does not connect again, and this one should.
                await self.accept()
            await self.close(TRY_AGAIN_LATER)

    async def _why_not(self) -> str:
        """Return why this person may not enter, in at most 123 bytes; "" if they may."""
        if not await self.can_accept():
            if "user" not in self.scope:
                return "it has no user: put the routes into channels.auth.AuthMiddlewareStack"
            return "can_accept() said no"
        if self.get_conversation_pk() is not None and await self.aget_conversation() is None:
            return "there is no such conversation"
        return ""

    def _note_refusal(self, level: int, reason: str) -> None:
        logger.log(level, "refused a socket to %s: %s", self.scope.get("path", ""), reason)

    async def _enter(self, after: int) -> None:
        conversation = await self.aget_conversation()
        if conversation is None:
            self.key = object()
            self.transcripts = MemoryTranscript(self.key)
        else:
            self.key = live.place_of(conversation.pk)
            self.transcripts = RecordedTranscript(
                conversation.pk,
                self.get_user(),
                show_initial_prompt=self.get_show_initial_prompt(),
                lane=self.share.lane,
            )
            await self.join(live.group_of(self.key))
        self.listener = live.Listener(self.key)
        if self.transcripts.recorded:
            tasks.spawn_once(watch)  # It ends where nobody listens: so not before.
        self.follower = Follower(
            key=self.key,
            after=after if self.transcripts.recorded else 0,
            transcripts=self.transcripts,
            encoder=self.encoder,
            listener=self.listener,
            send=self._send,
            when_empty=self._begin,
        )
        await self._send(
            self.encoder.hello(
                max_length=conf.get().max_message_length,
                banner=self.banner,
                welcome=await self._welcome(),
            )
        )
        if after and not self.transcripts.recorded:
            await self._send(self.encoder.reset())  # The page shows another socket's turns.
        self._pump = asyncio.create_task(self._keep_up_to_date())

    @property
    def share(self) -> limits.Share:
        """What this socket's person has under way."""
        assert self._share is not None  # It is set before anything is asked of the socket.
        return self._share

    async def _welcome(self) -> str:
        try:
            return await contained(self.aget_welcome_message())
        except ConfigurationError as error:
            logger.error("the welcome message cannot be made: %s", error)
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the welcome message cannot be made: %s", failures.where(error))
        return ""

    async def _keep_up_to_date(self) -> None:
        translation.activate(self.language)
        try:
            await contained(self.follower.run())
        except DatabaseFailure as error:
            logger.error("a chat lost its database: %s", failures.where(error))
            await self.close(TRY_AGAIN_LATER)
        except Exception as error:  # noqa: BLE001 - the page reconnects and starts again
            logger.error("a chat's page could not be kept up to date: %s", failures.where(error))
            await self.close(1011)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self._pace.wait()
        if self._closed:
            return
        # The socket stays usable after any error here.
        refused = ""
        try:
            request = parse_request(text_data, bytes_data)
            refused = str(request.turn_id) if isinstance(request, Say) else ""
            await contained(self._handle(request))
        except BadRequest as error:
            await self._refuse(str(error), error.turn_id)
        except limits.TooMany as error:
            await self._refuse(str(error), refused)
        except DatabaseFailure as error:
            logger.error("a request could not be answered: %s", failures.where(error))
            await self._refuse(_database_away(), refused)
        except Exception as error:  # noqa: BLE001
            logger.error("a request could not be answered: %s", failures.where(error))
            await self._refuse(_("This could not be done. Try again in a moment."), refused)

    async def _handle(self, request: Say | Stop | Earlier | Ping) -> None:
        # One hop for both: the conversation may have another owner since the socket was opened.
        async with self.share.lane:
            alive, self._conversation = await self._look(again=not isinstance(request, Ping))
            may_enter = alive and (isinstance(request, Ping) or await self.can_accept())
        if not may_enter:
            await self.close(NOT_ALLOWED if alive else SESSION_ENDED)
            return
        match request:
            case Ping():
                await self.send('{"type":"pong"}')
                if self.listener:
                    self.listener.wake(log_changed=True)
            case Say(text, turn_id):
                await self._say(text, turn_id)
            case Stop(turn_id):
                await self._stop(turn_id)
            case Earlier(before):
                await self.follower.earlier(before)

    async def _look(self, *, again: bool) -> tuple[bool, Conversation | None]:
        """Return whether the session is alive, and the conversation, `again` from the database."""
        pk = self.get_conversation_pk()
        if not again or pk is None or overrides(self, ChatMixin, "aget_conversation"):
            alive = await in_database_thread(access.session_is_alive)(self.scope)
            return alive, None if again else self._conversation
        return await _session_and_conversation(self.scope, pk)

    async def _stop(self, turn_id: uuid.UUID) -> None:
        recorded = self.transcripts.recorded
        mine = await actor_id_of(self.get_user()) if recorded else None
        turn = running.find(self.key)
        if turn is not None and turn.turn_id == turn_id:
            if turn.actor_id == mine:
                turn.stop()
        elif recorded:
            await ask_to_stop(self.key, turn_id, mine)

    async def _say(self, text: str, turn_id: uuid.UUID) -> None:
        # Looked at here first: a flood is refused without a task, a model or a query.
        if turn_id in self._asked:
            return
        turn = running.find(self.key)
        other = turn is not None and not turn.in_log and turn.turn_id != turn_id
        if other or len(self._asked) >= _MOST_ASKED:
            await self._refuse(_answer_under_way(), str(turn_id))
        else:
            self._spawn_turn(text, turn_id)

    def _spawn_turn(self, text: str, turn_id: uuid.UUID, *, initial: bool = False) -> None:
        """Take a turn as a task of the process. Raises TooMany."""
        with contextlib.ExitStack() as held:
            held.enter_context(self.share.turn())
            held.callback(self._asked.discard, turn_id)
            self._asked.add(turn_id)
            turn = self._take_turn(text, turn_id, initial=initial)
            # In this connection's context: a project may choose by it whose data it sees.
            task = tasks.spawn(turn, tasks.turns, contextvars.copy_context())
            kept = held.pop_all()
            task.add_done_callback(lambda task: kept.close())

    async def _take_turn(self, text: str, turn_id: uuid.UUID, *, initial: bool) -> None:
        translation.activate(self.language)
        refused = str(turn_id)
        if not self.transcripts.recorded and await self.transcripts.shows(turn_id):
            return  # It was sent again, and has been answered.
        try:
            turn = await contained(take_turn(self, self.key, text, turn_id, initial=initial))
            self._asked.discard(turn_id)
            if turn is not None:
                self.transcripts.keep(turn)
            elif await self.transcripts.shows(turn_id):
                # The page may not show it: it could be above what the page began with.
                await self.send(json.dumps({"type": "known", "turn_id": str(turn_id)}))
            else:
                # The page sent it again and will not see it: it was cleared meanwhile.
                await self._refuse(_("This message was sent before and then cleared."), refused)
            if self.listener and (turn is None or not self.transcripts.recorded):
                self.listener.wake(log_changed=True)
        except TurnInProgress:
            if not initial:
                await self._refuse(_answer_under_way(), refused)
                if self.listener:
                    # Perhaps another process answers, and this page does not know yet.
                    self.listener.wake(log_changed=True)
        except TurnConflict:
            await self._refuse(_("This message was sent before with other words."), refused)
        except DatabaseFailure as error:
            logger.error("a turn could not be started: %s", failures.where(error))
            await self._refuse(_database_away(), refused)
        except Exception as error:  # noqa: BLE001 - the words go back to the page
            logger.error("a turn could not be started: %s", failures.where(error))
            await self._refuse(_("This message could not be sent. Try again."), refused)

    async def _begin(self, cleared: int) -> None:
        """Send the first user message in the person's name, if there is one.

        `cleared` is the version of the last clearing: what is sent since then has one identifier,
        so that two pages that open at once send one message.
        """
        try:
            first = await contained(self.aget_llm_first_user_message())
        except ConfigurationError as error:
            logger.error("the first message cannot be made: %s", error)
            return
        except DatabaseFailure:
            raise  # The page comes back later.
        except Exception as error:  # noqa: BLE001 - the chat goes on without it
            logger.error("the first message cannot be made: %s", failures.where(error))
            return
        if first:
            person = getattr(self.get_user(), "pk", None)
            known = f"{self.key}/{cleared}/{person}"
            recorded = self.transcripts.recorded
            turn_id = uuid.uuid5(_FIRST_MESSAGES, known) if recorded else uuid.uuid4()
            with contextlib.suppress(limits.TooMany):  # It is sent when the page is opened again.
                self._spawn_turn(first, turn_id, initial=True)

    def joined_again(self) -> None:
        if self.listener:
            self.listener.wake(log_changed=True)

    def hear(self, kind: str, message: dict[str, Any]) -> None:
        if self.listener is None:
            return
        if kind == "turnlog.news":  # A process appended to the log, perhaps this one.
            version = message.get("version")
            if isinstance(version, int) and version > self.listener.seen:
                self.listener.wake(log_changed=True)
        elif kind == "turnlog.progress":  # Another process is answering here.
            self.follower.hear(message)
            self.listener.wake(log_changed=False)

    # Channels' own WebSocket consumer overrides its base in the same way.
    async def send(  # type: ignore[override]
        self, text_data: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if not self._closed:
            await self._in_time(super().send(text_data and wellformed(text_data), *args, **kwargs))

    async def close(self, *args: Any, **kwargs: Any) -> None:
        # Several requests may each find a reason to close, but a server takes only one close.
        if not self._closed:
            self._closed = True
            await self._in_time(super().close(*args, **kwargs))

    async def _in_time(self, sending: Awaitable[None]) -> None:
        """Await a sending to the client. If it does not read or has left, the connection ends."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await sending
        except TimeoutError:
            # What waits for this client costs memory, and the client gets it when it comes back.
            logger.info("a client that does not read was cut off")
            self._cut()
            self._abort()
        except OSError:
            # It has left. Its requests may still be waiting, and nobody will see their answers.
            self._cut()

    def _cut(self) -> None:
        self._closed = self._cut_off = True
        if self._main is not None:
            self._main.cancel()

    async def _refuse(self, text: str, turn_id: str = "") -> None:
        await self._send(self.encoder.notice(text, level="error", refused_turn_id=turn_id))

    async def _send(self, frames: list[str]) -> None:
        for frame in frames:
            await self.send(frame)

    async def _clean_up(self) -> None:
        if self._pump:
            self._pump.cancel()
        if self._share is not None:
            self._share.leave()
        if self.listener is not None:
            self.listener.close()
            turn = running.find(self.key)
            if turn is not None and not self.transcripts.recorded:
                turn.stop()  # No page can show it any more.
        await self.leave()


ChatSocket.our_own = ChatSocket


@in_database_thread
def _session_and_conversation(scope: Any, pk: str) -> tuple[bool, Conversation | None]:
    return access.session_is_alive(scope), find_conversation(pk)


def _answer_under_way() -> str:
    return _("Another answer is still being written: wait for it.")


def _database_away() -> str:
    return _("The conversation cannot be reached right now. Your words are here: try again soon.")


def _language(asked: str) -> str:
    """Return the page's language if the project has it, otherwise the project's own."""
    try:
        return translation.get_supported_language_variant(asked)
    except LookupError:
        return settings.LANGUAGE_CODE


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
