"""The facts of a conversation: one frozen dataclass for each event type.

Every field is JSON (a document of `turnlog.core.codec` where it holds a Python value). `schema`
is the payload's version; `payload()` returns what is stored and `from_payload()` reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

Document = Any
Outcome = Literal["failed", "cancelled", "interrupted", "unrecorded"]


class EventData:
    """The base of the event types; not an event itself."""

    __slots__ = ()
    schema: ClassVar[int] = 1
    erasable: ClassVar[bool] = True
    """False for what says what became of a conversation; its only words are reasons."""
    is_copy: ClassVar[bool] = False
    """True for what the log has stored already, in another stream: it stays as it is stored."""

    def payload(self) -> Any:
        """The JSON value that is stored."""
        # This class is no dataclass, and each event type is one.
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        """The event of a stored JSON value."""
        return cls(**payload)

    def check(self) -> None:
        """Raise TypeError if a field holds what its type does not allow.

        turnlog writes no such event, but something else may have.
        """
        for item in fields(self):  # type: ignore[arg-type]  # As in `payload`.
            value = getattr(self, item.name)
            if not isinstance(value, _KINDS.get(str(item.type), (object,))):
                raise TypeError(f"{item.name} is a {type(value).__name__}, not {item.type}")


# By the annotations of the types below.
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "bool": (bool,),
    "float": (float, int),
    "float | None": (float, int, type(None)),
    "Outcome": (str,),
    "Literal['ok', 'error']": (str,),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, Any] | None": (dict, type(None)),
    "Mapping[str, str]": (dict,),
    "Mapping[str, str] | None": (dict, type(None)),
    "Sequence[int]": (list,),
    "Sequence[Sequence[int]]": (list,),
    "Sequence[str]": (list,),
    "Sequence[Mapping[str, Any]]": (list,),
    "Document": (object,),
}


@dataclass(frozen=True, slots=True)
class ConversationOpened(EventData):
    """A stream begins. `owner` is the owner's actor id as text, None for an unowned room."""

    owner: str | None
    title: str


@dataclass(frozen=True, slots=True)
class TitleChanged(EventData):
    """From here on, the conversation has this title."""

    title: str


@dataclass(frozen=True, slots=True)
class OwnerChanged(EventData):
    """From here on, the conversation is another user's: `owner` and the `former` one are actor ids
    as text. `owner` None: nobody owns it any more, and it is open to nobody; `former` None: nobody
    had owned it, and it was open to every user.
    """

    erasable: ClassVar[bool] = False

    owner: str | None
    former: str | None


@dataclass(frozen=True, slots=True)
class TurnStarted(EventData):
    """The user's words, committed before the model is called, and what the model will see.

    `system_prompt` and `tools` are SHA-256 digests in hex of texts in `turnlog_content`.
    `previous` says which messages precede the user's; None if that is not known. It is either
    `{"tools": bool, "since": v, "until": w}`: the messages that `projections.HistoryRule(tools)`
    makes of the entries of the turn's actor from v to w, in the list as it was at w; 0 and 0 mean
    none. With `"summary": s`, the message of the HistorySummarized at version s comes first. If a
    branch was chosen after w, `"at"` is the version of that list instead. Or it is
    `{"messages": [...]}`: each a message's document, or the version of a list entry.
    """

    message: Document
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system_prompt: str | None = None
    tools: str | None = None
    previous: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _OneMessage(EventData):
    """The payload is the message's document itself."""

    message: Document

    def payload(self) -> Any:
        return self.message

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        return cls(payload)


@dataclass(frozen=True, slots=True)
class MessageAppended(_OneMessage):
    """One message of a finished turn, as the message list has it."""


@dataclass(frozen=True, slots=True)
class ModelCallRecorded(_OneMessage):
    """What one call of the model in a turn gave: the AIMessage as its provider gave it.

    It has the content in its own form and order, with ids, reasoning and its signatures, the tool
    calls, the usage and the provider's metadata. A turn's only call needs none if the answer is
    this very message.
    """


@dataclass(frozen=True, slots=True)
class ModelCallFailed(EventData):
    """A call of the model that failed, and was followed by another try.

    `model` is the name of the model that was called. `error` holds `type`, `kind` and `text`,
    `duration` is in seconds, and `message` is the document of what had come of the answer, if
    anything had.
    """

    model: str
    error: Mapping[str, str]
    duration: float | None = None
    message: Document = None


@dataclass(frozen=True, slots=True)
class ToolOutputRecorded(EventData):
    """The output of a tool call. `input` and `output` are documents, `duration` is in seconds.

    `text` is the document of what the model read, if that is not `output` itself: text, or a list
    of content blocks.
    """

    tool: str
    tool_call_id: str | None
    input: Document
    output: Document
    status: Literal["ok", "error"] = "ok"
    duration: float | None = None
    text: Document = None


@dataclass(frozen=True, slots=True)
class TurnFailed(EventData):
    """A turn that ended without an answer to keep.

    `produced` holds what the turn had produced by then: `message` (a document or None), `tools`
    (a list of ToolOutputRecorded payloads) and, if there are any, `rounds` (the payloads of the
    model's calls: ModelCallRecorded's or ModelCallFailed's). `error` holds `type` and `text`, or is
    None.
    """

    outcome: Outcome
    produced: Mapping[str, Any]
    error: Mapping[str, str] | None = None

    def check(self) -> None:
        EventData.check(self)
        _check_produced(self.produced)


def _check_produced(produced: Mapping[str, Any]) -> None:
    if not isinstance(produced.get("tools"), list) or "message" not in produced:
        raise TypeError("produced has no message or no list of tools")
    for tool in produced["tools"]:
        ToolOutputRecorded.from_payload(tool).check()


@dataclass(frozen=True, slots=True)
class ToolApprovalRequested(EventData):
    """The turn waits: the model has called tools that run only if a person approves it.

    `calls` are these calls, each with its `number` among all calls of the turn (from 0), `tool`,
    `tool_call_id` and `input`, a document. `produced` holds what the turn had produced by then, as
    in TurnFailed.
    """

    calls: Sequence[Mapping[str, Any]]
    produced: Mapping[str, Any]

    def check(self) -> None:
        EventData.check(self)
        _check_produced(self.produced)
        for call in self.calls:
            if type(call.get("number")) is not int or not isinstance(call.get("tool"), str):
                raise TypeError("a call has no number or tool")
            if not {"tool_call_id", "input"} <= call.keys():
                raise TypeError("a call has no tool_call_id or input")


@dataclass(frozen=True, slots=True)
class ToolApprovalDecided(EventData):
    """A person has approved or rejected a tool's call; the actor is who it was.

    The call is the one with the number `call` in the ToolApprovalRequested of `turn` whose hash
    (hex) is `request`. The event itself belongs to no turn: a turn's events are one person's, and
    another one may decide.
    """

    turn: str
    request: str
    call: int
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TurnResumed(EventData):
    """All calls that a turn waited for are decided, and a process answers on.

    `request` is the hash (hex) of the ToolApprovalRequested. `model` and `parameters` are those of
    the model that is called from here on; system prompt, tools and previous messages stay those of
    the turn's start.
    """

    request: str
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistorySummarized(EventData):
    """`message` may stand for the actor's entries of the message list from version `since` to
    `until`, in what a model is given. `digest` is the SHA-256 in hex of the documents that it was
    made of, and `model` made it.
    """

    message: Document
    since: int
    until: int
    digest: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationCleared(EventData):
    """From here on, the message list is empty again. Nothing is deleted."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class BranchChosen(EventData):
    """From here on, another branch of the actor's turns is the current one.

    `turn` is the id, as text, of the turn that was chosen; or of one that begins in this batch, and
    replaces the turn `instead_of`. Of the actor's turns that began before, those are current that
    began at the versions of `kept`: pairs of a first and a last version, in order. So is every turn
    that begins later. `alternatives` holds, for each place of this branch where there are several,
    the versions at which they began. The branch before had the same turns up to `changed`, the
    version at which the first one began that was left, or is current again.
    """

    erasable: ClassVar[bool] = False

    turn: str
    instead_of: str | None
    changed: int
    kept: Sequence[Sequence[int]]
    alternatives: Sequence[Sequence[int]]

    def check(self) -> None:
        EventData.check(self)
        for versions in (*self.kept, *self.alternatives):
            if not isinstance(versions, list) or any(type(each) is not int for each in versions):
                raise TypeError("kept or alternatives has what is no list of int")
        if any(len(pair) != 2 for pair in self.kept):
            raise TypeError("kept has what is no pair")


@dataclass(frozen=True, slots=True)
class ConversationForked(EventData):
    """This stream continues another one from `version`; `hash` (hex) is that event's."""

    erasable: ClassVar[bool] = False

    parent: int
    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class PayloadErased(EventData):
    """The payloads of `versions` of this stream are erased, for `reason`; with `title`, the
    conversation's title too."""

    erasable: ClassVar[bool] = False

    versions: Sequence[int]
    reason: str
    title: bool = False

    def check(self) -> None:
        EventData.check(self)
        if not all(type(version) is int for version in self.versions):
            raise TypeError("versions are not all int")


@dataclass(frozen=True, slots=True)
class HoldPlaced(EventData):
    """From here on, for `reason`, nothing of this stream is erased until the hold is lifted."""

    erasable: ClassVar[bool] = False

    reason: str


@dataclass(frozen=True, slots=True)
class HoldLifted(EventData):
    """The legal hold of this stream has ended, for `reason`."""

    erasable: ClassVar[bool] = False

    reason: str


@dataclass(frozen=True, slots=True)
class SideStreamOpened(EventData):
    """A stream begins that is no conversation, but stands beside some: `beside` is its name, such
    as `review/7` or `accesses/2026-11`."""

    erasable: ClassVar[bool] = False

    beside: str


@dataclass(frozen=True, slots=True)
class AccessRecorded(EventData):
    """Somebody saw, or took away, what other people's conversations hold; the actor is who it was.

    `action` is `listed`, `read`, `revealed` or `exported`, and `page` says where. `owners` are the
    actor ids, as text, of those who owned the `conversations` then. `query` is what was searched
    for, with personal data masked.
    """

    action: str
    page: str
    conversations: Sequence[int]
    owners: Sequence[str]
    address: str
    query: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AccessesInspected(EventData):
    """Somebody has inspected this stream's accesses up to the version `until`."""

    until: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class NoteAdded(EventData):
    """A reviewer's note on a conversation, or on one of its `turn`s; `quote` is what it is about,
    in the words of the turn."""

    text: str
    turn: str | None = None
    quote: str = ""


@dataclass(frozen=True, slots=True)
class NoteWithdrawn(EventData):
    """The note of this stream's `version` does not hold any more."""

    version: int


@dataclass(frozen=True, slots=True)
class ScoreGiven(EventData):
    """A reviewer's judgement of a conversation, or of one of its `turn`s, by the name of a score.

    `value` is a text, a number, true or false; null says that the reviewer cannot judge. A later
    one by the same reviewer replaces it.
    """

    name: str
    value: Document
    turn: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ReviewSignedOff(EventData):
    """A reviewer has reviewed the conversation up to its version `until`."""

    until: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ViewSaved(EventData):
    """From here on, reviewers find a search of their list by a name."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class ViewRemoved(EventData):
    """The name finds no search any more."""

    name: str


@dataclass(frozen=True, slots=True)
class ViewChosen(EventData):
    """The reviewer's list begins with this search; an empty name: with all conversations."""

    name: str


@dataclass(frozen=True, slots=True)
class LogVerified(EventData):
    """verify_log has checked the log's positions after `since` up to `until`, and found so many
    problems."""

    until: int
    problems: int
    since: int = 0


@dataclass(frozen=True, slots=True)
class QueueSet(EventData):
    """From here on, a queue is `active`, `paused` or `archived` (`state`), and each of its items
    needs this many `reviewers`, who give these `scores`."""

    erasable: ClassVar[bool] = False

    state: str
    reviewers: int
    scores: Sequence[str]


@dataclass(frozen=True, slots=True)
class QueueDescribed(EventData):
    """The queue's name, and what reviewers are asked to look at."""

    name: str
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class QueueFilled(EventData):
    """`found` conversations that a `query` of the list means were not in the queue; the sample that
    `percent` and `seed` give has come into it, by the `ItemsAdded` that follow."""

    query: str
    percent: float
    seed: str
    found: int


@dataclass(frozen=True, slots=True)
class ItemsAdded(EventData):
    """These conversations are items of the queue, behind those that were there."""

    erasable: ClassVar[bool] = False

    conversations: Sequence[int]


@dataclass(frozen=True, slots=True)
class ItemMoved(EventData):
    """What became of an item of a queue; the actor is who did it.

    `what` is `taken` (for so many `seconds`), `left`, `completed`, `flagged`, `returned`,
    `resolved`, or `gone` if nothing of the conversation is left. `state` is the item's from here
    on: `open`, `awaiting` (somebody must settle it), `completed`, `flagged` or `gone`.
    """

    erasable: ClassVar[bool] = False

    conversation: int
    what: str
    state: str
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ItemJudged(EventData):
    """The `scores`, by name, of who completes or resolves an item, or the `reason` of a flag. It
    follows the `ItemMoved` that it belongs to."""

    conversation: int
    scores: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


_OF_SIDE_STREAMS = (
    SideStreamOpened,
    AccessRecorded,
    AccessesInspected,
    NoteAdded,
    NoteWithdrawn,
    ScoreGiven,
    ReviewSignedOff,
    ViewSaved,
    ViewRemoved,
    ViewChosen,
    LogVerified,
    QueueSet,
    QueueDescribed,
    QueueFilled,
    ItemsAdded,
    ItemMoved,
    ItemJudged,
)

EVENT_TYPES: dict[str, type[EventData]] = {
    cls.__name__: cls
    for cls in (
        ConversationOpened,
        TitleChanged,
        OwnerChanged,
        TurnStarted,
        MessageAppended,
        ModelCallRecorded,
        ModelCallFailed,
        ToolOutputRecorded,
        TurnFailed,
        ToolApprovalRequested,
        ToolApprovalDecided,
        TurnResumed,
        HistorySummarized,
        ConversationCleared,
        BranchChosen,
        ConversationForked,
        PayloadErased,
        HoldPlaced,
        HoldLifted,
        *_OF_SIDE_STREAMS,
    )
}

SIDE_TYPES = tuple(cls.__name__ for cls in _OF_SIDE_STREAMS)
"""Types that are in no conversation's stream, only in those beside; see `events.beside`."""

RUNNING_TYPES = ("TurnStarted", "TurnResumed")
"""If a turn's last event is of one of these types, the process that its metadata name answers."""

WAITING_TYPE = "ToolApprovalRequested"
"""If a turn's last event is of this type, the turn waits for a person."""

OPEN_TYPES = (*RUNNING_TYPES, WAITING_TYPE)
"""A turn whose last event is of one of these types has not ended."""

NEVER_ERASED = tuple(name for name, cls in EVENT_TYPES.items() if not cls.erasable)
"""Types whose payloads the triggers, an erasure and every verifier leave in place."""
