"""Reports a turn's progress to other processes over the channel layer, and receives stop requests.

Each message has the whole progress, so a missed one does no harm. There are at most two a second,
because a transport may drop what comes too fast, and the log has the final state.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from django.utils.safestring import SafeString

from ...core import retrying
from ...core.wellformed import wellformed
from ..live import Place, group_of, shared_layer
from ..markdown.safety import safe
from ..page.turn_view import Piece
from ..telling import in_time, warn_of_layer
from .running_turn import RunningTurn

INTERVAL_SECONDS = 0.5
REPEAT_SECONDS = 1.0

# Characters and values of a message: whatever is larger is shown when the turn has ended.
_MOST = 4_000_000
_MOST_PIECES = 100_000


async def relay(turn: RunningTurn) -> None:
    """Run beside a turn that is recorded in a conversation, until cancelled."""
    while True:
        try:
            await _tell_and_hear(turn)
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)
            await asyncio.sleep(retrying.LAYER_PAUSE)


async def _tell_and_hear(turn: RunningTurn) -> None:
    layer = shared_layer()
    group = group_of(cast(Place, turn.key))
    channel = await in_time(layer.new_channel())
    await in_time(layer.group_add(group, channel))
    hearing = asyncio.create_task(layer.receive(channel))
    clock = asyncio.get_running_loop().time
    told: tuple[int, str] | None = None
    told_at = 0.0
    try:
        while True:
            view = turn.view()
            now = (len(view.pieces), view.text)
            # Repeated at intervals, for listeners that joined since or missed the last message.
            if now != told or clock() >= told_at + REPEAT_SECONDS:
                told, told_at = now, clock()
                message = _progress(view)
                if _fits(message):
                    await in_time(layer.group_send(group, message))
            await asyncio.wait({hearing}, timeout=INTERVAL_SECONDS)
            if hearing.done():
                if _asks_to_stop(hearing.result(), turn):
                    turn.stop()
                hearing = asyncio.create_task(layer.receive(channel))
    finally:
        hearing.cancel()
        with contextlib.suppress(Exception):
            await in_time(layer.group_discard(group, channel))


async def ask_to_stop(key: Any, turn_id: uuid.UUID, actor_id: uuid.UUID | None) -> None:
    """Ask the process that answers a turn to stop it."""
    if layer := shared_layer():
        message = {"type": "turnlog.stop", "turn_id": str(turn_id), "actor_id": str(actor_id)}
        await in_time(layer.group_send(group_of(key), message))


def _progress(view: Any) -> dict[str, Any]:
    return {
        "type": "turnlog.progress",
        "turn_id": view.id,
        "pieces": list(map(_told, view.pieces)),
        "tail": str(view.tail),
        "tail_source": view.tail_source,
        "text": wellformed(view.text),
    }


def _told(piece: Piece) -> Piece:
    """Return a piece for a transport, which may not know what a SafeString is.

    Tables and pictures stay here: everything is told again and again. They are shown elsewhere when
    the turn has ended.
    """
    return {k: str(v) if k == "html" else v for k, v in piece.items() if k != "things"}


class Heard(NamedTuple):
    """What another process has produced of a turn."""

    pieces: tuple[Piece, ...]
    tail: SafeString
    tail_source: str
    text: str


# Of a piece of each kind, the types of its values.
_PIECES: dict[str, dict[str, Any]] = {
    "block": {"html": str},
    "tool": {"id": str, "name": str, "input": str},
    "thinking": {"id": str, "text": str},
    "thinking_more": {"id": str, "text": str},
    "call": {
        **{"id": str, "model": str, "seconds": int | float | None, "input_tokens": int | None},
        **{"output_tokens": int | None, "reason": str, "error": str},
    },
    "tool_result": {"id": str, "status": str, "output": str, "seconds": int | float | None},
}


_GOES_ON = {"tool_result": "tool", "thinking_more": "thinking"}
"""What belongs to a piece that came before."""


def heard_of(message: dict[str, Any]) -> Heard | None:
    """Return a message of `_progress` as it can be shown; None if it is not one.

    Whoever reaches the transport can write to it, so its HTML is sanitised here once more.
    """
    try:
        if not _fits(message):
            return None
        pieces = tuple(map(_piece, message["pieces"]))
        _require_order(pieces)
        words = [_of_type(str, message[name]) for name in ("tail", "tail_source", "text")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        warn_of_layer(error)
        return None
    tail, source, text = map(wellformed, words)
    return Heard(pieces, safe(tail), source, text)


def _fits(message: dict[str, Any]) -> bool:
    """Return whether a message takes no long time to look at."""
    values = [*message.values()]
    for piece in message["pieces"]:
        values += [None, *piece.values()]
        if len(values) > _MOST_PIECES:
            return False
    return sum(len(value) for value in values if isinstance(value, str)) <= _MOST


def _require_order(pieces: Sequence[Piece]) -> None:
    begun = set()
    for piece in pieces:
        kind = piece["kind"]
        if kind in ("tool", "thinking"):
            begun.add((kind, piece["id"]))
        elif kind in _GOES_ON and (_GOES_ON[kind], piece["id"]) not in begun:
            raise ValueError(f"expected a {_GOES_ON[kind]} before its {kind}")


def _piece(given: Any) -> Piece:
    kind = given["kind"]
    piece = {name: _of_type(type_, given.get(name)) for name, type_ in _PIECES[kind].items()}
    piece = {name: wellformed(v) if isinstance(v, str) else v for name, v in piece.items()}
    if kind == "block":
        piece["html"] = safe(piece["html"])
    if kind == "tool_result":
        piece["things"] = []
    return {"kind": kind, **piece}


def _of_type(type_: Any, value: Any) -> Any:
    if not isinstance(value, type_):
        raise TypeError(f"expected {type_}, found {type(value).__name__}")
    return value


def _asks_to_stop(message: dict[str, Any], turn: RunningTurn) -> bool:
    return (
        message.get("type") == "turnlog.stop"
        and message.get("turn_id") == str(turn.turn_id)
        and message.get("actor_id") == str(turn.actor_id)
    )
