"""What a turn has produced before it ends, in case its process dies.

A process that answers writes what is new, about once a second, as a row of its own. The turn's end
in the log contains it all, so the rows are dropped then. Besides the log, only these and files that
wait to be sent (`uploads.py`) are words that turnlog keeps.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import Exists, OuterRef

from ..core import codec
from ..core.errors import NotStored
from .rounds import Round, recorded
from .store.confirmed import insert_one
from .tables.database import log_database
from .tables.draft import Draft
from .tables.event import Event
from .tool_outputs import tool_outputs
from .types import OPEN_TYPES


def keep(
    stream_id: int,
    turn_id: uuid.UUID,
    number: int,
    text: str,
    tools_output_list: Sequence[Any] = (),
    rounds: Sequence[Round] = (),
) -> None:
    """Write the next part: more text, more tool outputs, more of the model's calls.

    Raises CodecError if a value cannot be stored, NotStored if the database does not keep the row.
    """
    part = {
        "text": codec.encode(text),
        "tools": [data.payload() for data in tool_outputs(list(tools_output_list))],
        "rounds": [recorded(one).payload() for one in rounds],
    }
    insert_one(
        Draft,
        log_database(),
        stream_id=stream_id,
        turn_id=turn_id,
        number=number,
        part=codec.to_json(part),
    )


def produced_by(turn_id: uuid.UUID | None) -> dict[str, Any] | None:
    """Return the `produced` of a TurnFailed, as far as the drafts of a turn tell; None if it has
    none."""
    if turn_id is None:
        return None
    text = ""
    produced: dict[str, Any] = {"message": None, "tools": []}
    drafts = Draft.objects.using(log_database()).filter(turn_id=turn_id).order_by("number")
    parts = list(drafts.values_list("part", flat=True))
    if not parts:
        return None
    for stored in parts:
        part = json.loads(stored)
        text += codec.decode(part["text"])
        produced["tools"] += part["tools"]
        if part["rounds"]:
            produced.setdefault("rounds", []).extend(part["rounds"])
    if text:
        from langchain_core.messages import AIMessage

        produced["message"] = codec.encode(AIMessage(text))
    return produced


def drop(turn_ids: Collection[uuid.UUID | None]) -> None:
    """Remove the drafts of turns that have ended."""
    ids = [turn_id for turn_id in turn_ids if turn_id is not None]
    Draft.objects.using(log_database()).filter(turn_id__in=ids).delete()


def erase(turn_ids: Collection[uuid.UUID | None]) -> None:
    """Remove the drafts of turns that are being erased. Raises NotStored if one stays."""
    drop(turn_ids)
    ids = [turn_id for turn_id in turn_ids if turn_id is not None]
    if left := Draft.objects.using(log_database()).filter(turn_id__in=ids).count():
        raise NotStored("turnlog_draft", f"expected no parts of the erased turns, found {left}")


def drop_ended() -> None:
    """Remove the drafts of all turns that have ended: a process may have died before it did."""
    using = log_database()
    events = Event.objects.using(using)
    ended = events.filter(stream_id=OuterRef("stream_id"), turn_id=OuterRef("turn_id"))
    Draft.objects.using(using).filter(Exists(ended.exclude(type__in=OPEN_TYPES))).delete()
