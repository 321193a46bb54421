"""A turn as the page shows it: made from the log, or from a turn that is still running."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, NamedTuple

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from ...core import codec, conf
from ...core.attached import attached, words_of
from ...core.codec.encoded import Encoded
from ...core.codec.excerpts import beginning
from ...core.errors import CodecError
from ...core.masking.documents import masked
from ...core.masking.masker import Masker
from ...core.wellformed import clipped, wellformed
from ...events.erasure.past import Erasure
from ...events.waiting import WaitingCall
from ...projections.transcript import TranscriptTurn
from .. import failures, markdown
from ..endings import is_cut
from .asked import readable_input, shown_and_missing
from .calls import Item, items_of
from .room import LONGEST, Room
from .things import Thing, things_of

Piece = dict[str, Any]
"""`{"kind": "block", "html"}`, `{"kind": "tool", "id", "name", "input"}`,
`{"kind": "tool_result", "id", "status", "output", "things", "seconds"}`,
`{"kind": "thinking", "id", "text"}`, `{"kind": "thinking_more", "id", "text"}`, or `{"kind":
"call", ...}` as `calls.call_piece` makes it; appended, never changed."""

File = dict[str, Any]
"""A picture or a file that somebody sent: `number`, `kind`, `name`, `mime_type`, `width`, `height`,
and `version`, that of the event which has it. Where it is masked, it is `withheld`."""

# A frame of more characters, or of more pieces, is written in the rendering thread.
_LARGE, _MANY = 20_000, 100


@dataclass(slots=True)
class TurnView:
    """A turn as templates and JSON clients receive it."""

    id: str
    version: int
    outcome: str
    human_text: str
    show_human: bool
    at: dt.datetime | None
    pieces: Sequence[Piece] = field(default_factory=list)
    tail: str = ""
    """The HTML of the block that is still being written."""
    tail_source: str = ""
    """Its Markdown."""
    text: str = ""
    """The answer's Markdown so far."""
    failure: dict[str, str] | None = None
    erasure: Erasure | None = None
    files: Sequence[File] = ()
    """What was sent with the words."""
    cut: bool = False
    """Whether the answer, which is kept, ended at a limit of tokens."""
    recorded: Mapping[str, int] = field(default_factory=dict)
    """For a tool's card in the log, by its id: the number of its output among the turn's."""
    alternatives: Sequence[str] = ()
    """The identifiers of the turns that can stand in its place, itself among them."""
    replaceable: bool = False
    """Whether it can be answered again: it is recorded."""

    decided: bool = False
    """Whether a turn that waits has no call left to decide about: it goes on."""

    @property
    def branch(self) -> dict[str, Any] | None:
        """Which of its alternatives this turn is, counted from 1, of how many, and its neighbours'
        identifiers (None: there is none); None if it has no alternatives."""
        if len(self.alternatives) < 2:
            return None
        place = self.alternatives.index(self.id)
        beside = [None, *self.alternatives, None]
        return {
            "place": place + 1,
            "count": len(self.alternatives),
            "previous": beside[place],
            "next": beside[place + 2],
        }

    def let_decide(self, number: int) -> None:
        """Let whoever sees this decide about a call that waits."""
        for piece in self.pieces:
            if piece.get("id") == str(number) and piece.get("status") == "waiting":
                piece["decidable"] = True

    @property
    def is_large(self) -> bool:
        """Whether it takes long to write: not for the event loop."""
        if len(self.pieces) > _MANY:
            return True
        shown = (
            piece.get(name) or ""
            for piece in self.pieces
            for name in ("html", "input", "output", "text")
        )
        if sum(map(len, (self.text, self.tail, self.human_text, *shown))) > _LARGE:
            return True
        return any(piece.get("things") for piece in self.pieces)

    @property
    def human(self) -> SafeString:
        """The user's words, escaped; the stylesheet keeps the line breaks."""
        return mark_safe(html.escape(self.human_text))

    @property
    def error(self) -> str:
        """One sentence for the user, in the active language."""
        if self.erasure is not None:
            return self.erasure.sentence
        if self.cut and self.failure is None:
            return failures.sentence({"kind": "cut"})
        return failures.sentence(self.failure)


def view_of(
    turn: TranscriptTurn,
    *,
    show_initial_prompt: bool,
    mask: Masker | None = None,
    show_calls: bool | None = None,
) -> TurnView:
    """Return the view of a turn that is in the log, masked for somebody who reviews it.

    `show_calls` says whether it shows what the model thought and how its calls ended; None: by the
    setting.
    """
    answer, human = _message(turn.answer), _message(turn.human)
    text, human_text = _text(answer, turn.answer), words_in(human, turn.human)
    files = files_in(human, turn.first)
    tools, failure, items = turn.tools, turn.error, items_of(turn)
    if not (conf.get().show_calls if show_calls is None else show_calls):
        items = [item for item in items if not item.thought and item.ended is None]
    if mask is not None:
        # In the order in which they were said.
        places = mask.places(text, [min(item.place, len(text)) for item in items])
        # The texts once they are put together: a value may lie across a message's parts.
        text, human_text = mask.text(text), mask.text(human_text)
        tools, failure = masked(tools, mask), masked(failure, mask)
        # Nobody can say what is to be seen in a picture, or to be read in a file.
        files = [{**file, "name": mask.text(file["name"]), "withheld": True} for file in files]
        items = [
            item._replace(
                place=place,
                thought=mask.text(item.thought),
                ended=masked(item.ended, mask),
                call=masked(item.call, mask),
                waits=_masked_call(item.waits, mask),
            )
            for item, place in zip(items, places, strict=True)
        ]
    # A table is masked cell by cell, so its document must be the one that was stored.
    given = [tool.get("output") for tool in turn.tools]
    cards = _cards(turn, items)
    pieces = _pieces(text, items, cards, _Tools(turn, tools, given), mask)
    if mask is not None:
        _mask_blocks(pieces, mask)
    return TurnView(
        id=str(turn.turn_id),
        version=turn.last,
        outcome=turn.standing,
        human_text=human_text,
        show_human=turn.human is not None
        and (show_initial_prompt or not turn.metadata.get("initial", False)),
        at=turn.at,
        pieces=pieces,
        text=text,
        failure=failure,
        erasure=turn.erasure,
        files=files,
        cut=turn.standing == "completed" and is_cut(answer),
        recorded={
            str(number): item.output
            for item, number in zip(items, cards, strict=True)
            if item.output is not None
        },
        decided=turn.standing == "waiting" and all(c.approved is not None for c in turn.calls),
        alternatives=list(map(str, turn.alternatives)),
    )


class _Tools(NamedTuple):
    """A turn, its tools' outputs as they are shown, and their documents as they are stored."""

    turn: TranscriptTurn
    shown: Sequence[dict[str, Any]]
    given: Sequence[Any]

    def is_rejected(self, number: int) -> bool:
        """Return whether a person has rejected the call with this number."""
        found = self.turn.metadata.get("rejected")
        return isinstance(found, list) and number in found


def _cards(turn: TranscriptTurn, items: Sequence[Item]) -> list[int]:
    """Return the number of each item's card; a call that waits has that of its call."""
    waited = {call.number for call in turn.calls}
    numbers = (number for number in count() if number not in waited)
    return [
        item.waits.number
        if item.waits is not None
        else next(numbers)
        if item.output is not None or item.call is not None
        else 0
        for item in items
    ]


def _masked_call(call: WaitingCall | None, mask: Masker) -> WaitingCall | None:
    if call is None:
        return None
    return call._replace(tool=mask.text(call.tool), input=masked(call.input, mask))


def _waiting_card(call: WaitingCall, turn: TranscriptTurn) -> Piece:
    """Return the card of a call that waits for a person, or that nobody had decided.

    `missing` is there if its input is not shown whole: so many characters are not.
    """
    shown, missing = shown_and_missing(call.input)
    # Where it is masked, what is not shown may be missing from the call, too.
    unmasked = [each.input for each in turn.calls if each.number == call.number]
    missing = max(missing, *(shown_and_missing(each)[1] for each in unmasked))
    status = _STATUSES[call.approved] if turn.standing == "waiting" else "stopped"
    card = {"kind": "tool", "id": str(call.number), "name": call.tool, "input": shown}
    return {**card, "status": status} | ({"missing": missing} if missing else {})


_STATUSES = {None: "waiting", True: "approved", False: "rejected"}


def is_held(piece: Piece) -> bool:
    """Return whether a piece is the card of a call that has not been made: it waits, or did."""
    return piece["kind"] == "tool" and piece.get("status") in _STATUSES.values()


def answer_text(turn: TranscriptTurn) -> str:
    """Return the Markdown of a turn's answer, as `view_of` has it."""
    return _text(_message(turn.answer), turn.answer)


def words_in(message: Any, document: Any = None) -> str:
    """Return what somebody wrote in a message, without the texts of their files."""
    words = words_of(getattr(message, "content", None), getattr(message, "additional_kwargs", None))
    return _text(message, document) if words is None else wellformed(words)


def files_in(message: Any, version: int) -> list[File]:
    """Return what was sent with a message, which the event at a version has."""
    content, kwargs = (getattr(message, name, None) for name in ("content", "additional_kwargs"))
    return [
        {**asdict(each), "name": wellformed(each.name), "version": version}
        for each in attached(content, kwargs)
    ]


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces with each tool's result, and each further thought, put into its card."""
    whole: list[Piece] = []
    cards: dict[str, Piece] = {}
    thoughts: dict[str, Piece] = {}
    for piece in pieces:
        if piece["kind"] == "tool_result":
            cards[piece["id"]].update(
                {name: piece[name] for name in ("status", "output", "things", "seconds")}
            )
            continue
        if piece["kind"] == "thinking_more":
            thoughts[piece["id"]]["text"] += piece["text"]
            continue
        copy = dict(piece)
        whole.append(copy)
        if copy["kind"] == "tool":
            cards[copy["id"]] = copy
        if copy["kind"] == "thinking":
            thoughts[copy["id"]] = copy
    return whole


def is_apart(piece: Piece) -> bool:
    """Return whether a piece is none of the answer's blocks."""
    return bool(piece["kind"] != "block")


def tool_piece(number: int, name: str, tool_input: Any, room: Room) -> Piece:
    """Return the card of a tool call that starts."""
    shown = room.clipped(as_text(readable_input(tool_input)))
    return {"kind": "tool", "id": str(number), "name": name, "input": shown}


def tool_result_piece(
    number: int, output: dict[str, Any], shown: str, room: Room, things: list[Thing]
) -> Piece:
    """Return the result of a tool call, of which `shown` is the output as text.

    What a failed tool said may name files, hosts and people: it is shown only by a setting. Where
    there are tables or pictures, the text is what the model read of them.
    """
    status = "rejected" if output.get("rejected") else output.get("status", "ok")
    hidden = status == "error" and not conf.get().show_tool_errors
    if things:
        read = output.get("text")
        shown = as_text(read) if isinstance(read, str | Encoded) else ""
    return {
        "kind": "tool_result",
        "id": str(number),
        "status": status,
        "output": "" if hidden else room.clipped(shown),
        "things": [] if hidden else things,
        "seconds": output.get("duration"),
    }


def block_pieces(closed: Iterable[markdown.Block]) -> list[Piece]:
    return [{"kind": "block", "html": block.html} for block in closed]


def as_text(document: Any) -> str:
    """Return a tool's input or output as text for people: the beginning of its document.

    Takes the same time for a document of any size. Nothing is decoded: what cannot be read here is
    shown as it is stored.
    """
    if document is None:
        return ""
    try:
        return clipped(beginning(document, LONGEST + 1), LONGEST)
    except CodecError as error:
        return clipped(str(error), LONGEST)


def _message(document: Any) -> Any:
    """Return a stored message; if it cannot be read here, a sentence in its place."""
    try:
        return None if document is None else codec.decode(document)
    except CodecError:
        return _("This message cannot be shown here.")


def _text(message: Any, document: Any) -> str:
    try:
        text = getattr(message, "text", message)
    except Exception:  # noqa: BLE001 - it is computed, from whatever the content's blocks hold
        text = _("This message cannot be shown here.")
    # Older versions recorded as a message whatever they were given.
    return wellformed(str(text)) if isinstance(text, str) else as_text(document)


def _pieces(
    text: str,
    items: Sequence[Item],
    cards: Sequence[int],
    tools: _Tools,
    mask: Masker | None,
) -> list[Piece]:
    """Return the answer's blocks, with each item at its place."""
    pieces: list[Piece] = []
    said, room, thoughts = 0, Room(), count()
    for item, number in zip(items, cards, strict=True):
        pieces += block_pieces(markdown.blocks(text[said : item.place]))
        said = max(said, item.place)
        if item.ended is not None:
            pieces.append(item.ended)
        elif item.thought:
            if shown := room.thought(item.thought):
                pieces.append({"kind": "thinking", "id": str(next(thoughts)), "text": shown})
        elif item.output is not None:
            tool = {**tools.shown[item.output], "rejected": tools.is_rejected(number)}
            pieces += _card(number, tool, tools.given[item.output], room, mask)
        elif item.waits is not None:
            pieces.append(_waiting_card(item.waits, tools.turn))
        elif item.call is not None:
            # It was called, and had not ended when the turn did.
            card = tool_piece(number, item.call["name"] or "", item.call["args"], room)
            pieces.append({**card, "status": "stopped"})
    return pieces + block_pieces(markdown.blocks(text[said:]))


def _card(
    number: int, tool: dict[str, Any], document: Any, room: Room, mask: Masker | None
) -> list[Piece]:
    card = tool_piece(number, tool["tool"], tool["input"], room)
    # As it was shown while the turn ran: what could not be kept has only the reason.
    refused = tool["output"] is None and tool.get("status") == "error"
    shown = as_text(tool.get("text") if refused else tool["output"])
    things = things_of(document, room, mask)
    return merged([card, tool_result_piece(number, tool, shown, room, things)])


def _mask_blocks(pieces: list[Piece], mask: Masker) -> None:
    """Mask again what became readable only when it was rendered."""
    blocks = [piece for piece in pieces if piece["kind"] == "block"]
    shown = markdown.masked_as_shown([block["html"] for block in blocks], mask)
    for block, html_ in zip(blocks, shown, strict=True):
        block["html"] = html_
