"""The WebSocket of a chat: takes requests, sends frames, and follows the conversation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils import translation
from django.utils.translation import gettext as _

from ...core.errors import ConfigurationError
from ...core.wellformed import wellformed
from .. import failures
from ..answering.contained import contained
from ..answering.langchain import import_ahead
from ..mixins.agent import AgentMixin
from . import access, limits
from .aborting import abort
from .deciding import NotDecided
from .layer_socket import LayerSocket
from .opening import Opening
from .origin import refused_origin
from .requests import (
    BadRequest,
    Choose,
    Decide,
    Earlier,
    Ping,
    Request,
    Say,
    Source,
    Stop,
    parse_request,
)
from .saying import database_away
from .session import AmongFrames, Ended, Session, why_not

logger = logging.getLogger("turnlog")

SESSION_ENDED = 4401
NOT_ALLOWED = 4403
TRY_AGAIN_LATER = 1013

SEND_SECONDS = 20.0
"""How long a client may leave a frame unread."""


class ChatSocket(AgentMixin, LayerSocket):
    """Accepts a socket, handles requests and keeps the page up to date with the conversation."""

    _session: Session | None = None
    """What this socket's client asks for and is shown; None until it has come in."""
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
        # Not in disconnect(): an exception in a handler skips it.
        try:
            await contained(super().__call__(scope, receive, send))
        except asyncio.CancelledError:
            if not self._cut_off:
                raise
        finally:
            await self._clean_up()

    async def connect(self) -> None:
        opening = Opening.of(parse_qs(self.scope.get("query_string", b"").decode("latin-1")))
        translation.activate(opening.language)
        self.encoder = opening.encoder
        accepted = False
        try:
            if reason := refused_origin(self.scope):
                self._note_refusal(logging.WARNING, reason)
                await self.close()  # Before accept: a 403.
                return
            if reason := await why_not(self):
                level = logging.INFO if "user" in self.scope else logging.WARNING
                self._note_refusal(level, reason)
                # A script in a browser sees the code of a close, and not the status of a handshake.
                if opening.refuse == "close":
                    await self.accept()
                    await self.close(NOT_ALLOWED, reason if settings.DEBUG else None)
                else:
                    await self.close()
                return
            accepted = True
            await self.accept()
            if not access.is_the_pages_person(self.scope, opening.person):
                await self.close(SESSION_ENDED)
                return
            self._share = limits.enter(self.scope)
            await self._enter(self._share, opening)
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

    def _note_refusal(self, level: int, reason: str) -> None:
        logger.log(level, "refused a socket to %s: %s", self.scope.get("path", ""), reason)

    async def _enter(self, share: limits.Share, opening: Opening) -> None:
        self._session = Session(
            self,
            encoder=opening.encoder,
            language=opening.language,
            send=self._send,
        )
        self._session.share = share
        await self._session.enter(opening.after, self._member)
        self._pump = asyncio.create_task(self._keep_up_to_date(self._session))

    async def _keep_up_to_date(self, session: Session) -> None:
        try:
            await session.follow()
        except DatabaseFailure as error:
            logger.error("a chat lost its database: %s", failures.where(error))
            await self.close(TRY_AGAIN_LATER)
        except Exception as error:  # noqa: BLE001 - the page reconnects and starts again
            logger.error("a chat's page could not be kept up to date: %s", failures.where(error))
            await self.close(1011)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self._pace.wait()
        if self._closed or self._session is None:
            return
        # The socket stays usable after any error here.
        refused = ""
        try:
            request = parse_request(text_data, bytes_data)
            refused = str(request.turn_id) if isinstance(request, Say) else ""
            await contained(self._handle(self._session, request))
        except BadRequest as error:
            await self._refuse(str(error), error.turn_id)
        except limits.TooMany as error:
            await self._refuse(str(error), refused)
        except NotDecided as error:
            await self._refuse(str(error))
        except DatabaseFailure as error:
            logger.error("a request could not be answered: %s", failures.where(error))
            await self._refuse(database_away(), refused)
        except Exception as error:  # noqa: BLE001
            logger.error("a request could not be answered: %s", failures.where(error))
            await self._refuse(_("This could not be done. Try again in a moment."), refused)

    async def _handle(self, session: Session, request: Request) -> None:
        if ended := await session.ended(only_session=isinstance(request, Ping)):
            await self.close(SESSION_ENDED if ended is Ended.SIGNED_OUT else NOT_ALLOWED)
            return
        match request:
            case Ping():
                await self.send('{"type":"pong"}')
                session.look_again()
            case Say():
                await session.saying.say(request, AmongFrames(session))
            case Choose(turn_id):
                if refusal := await session.choose(turn_id):
                    await self._refuse(refusal)
            case Stop(turn_id):
                await session.stop(turn_id)
            case Decide():
                await session.decide(request)
            case Earlier(before):
                await session.follower.earlier(before)
            case Source(turn_id):
                await self.send(await session.source(turn_id))

    def joined_again(self) -> None:
        if self._session is not None:
            self._session.look_again()

    def hear(self, kind: str, message: dict[str, Any]) -> None:
        if self._session is not None:
            self._session.hear(kind, message)

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

    async def _send(self, frames: list[str], cursor: int | None = None) -> None:
        for frame in frames:
            await self.send(frame)

    async def _clean_up(self) -> None:
        if self._pump:
            self._pump.cancel()
        if self._share is not None:
            self._share.leave()
        if self._session is not None:
            await self._session.leave()


ChatSocket.our_own = ChatSocket
