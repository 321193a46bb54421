"""All exceptions of turnlog, under one base.

A message says what was expected, what was found, where, and what to do. The values are attributes
too, so that callers need not parse the text.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class TurnlogError(Exception):
    """Anything turnlog refuses or cannot do."""


class ArgumentError(TurnlogError, TypeError):
    """An argument of another kind than the function takes; nothing was written."""

    def __init__(self, name: str, expected: str, given: Any) -> None:
        # Show texts and numbers, which are short. For any other value, show only the type.
        found = repr(given)[:80] if isinstance(given, str | int | float) else type(given).__name__
        super().__init__(f"{name}: expected {expected}, found {found}; nothing was written")
        self.name = name


class CodecError(TurnlogError):
    """A value that cannot be stored exactly, or a document that cannot be read."""

    def __init__(self, message: str, *, path: str = "$", type_name: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.type_name = type_name


class ConfigurationError(TurnlogError):
    """The project's settings or a consumer's attributes cannot be used as they are."""


class TableError(ConfigurationError):
    """The table of a data analyst's chat cannot be used."""


class ConcurrencyError(TurnlogError):
    """The stream is not at the version the writer expected."""

    def __init__(self, stream_id: int, expected: int, actual: int) -> None:
        super().__init__(
            f"conversation {stream_id}: expected to append after version {expected}, but the stream"
            f" is at version {actual}; read it and decide again"
        )
        self.stream_id = stream_id
        self.expected = expected
        self.actual = actual


class IsolationRefused(TurnlogError):
    """A write to the log in a caller's transaction that is not at READ COMMITTED."""

    def __init__(self, using: str, level: str) -> None:
        super().__init__(
            f"expected a transaction of database {using!r} at READ COMMITTED, found one at"
            f" {level.upper()}, in which turnlog would not see what others committed while it"
            " waited; nothing was written: call turnlog outside of that transaction, or leave"
            " `isolation_level` out of the database's OPTIONS"
        )
        self.using = using
        self.level = level


class TurnConflict(TurnlogError):
    """A turn_id that is already used for other content."""

    def __init__(self, stream_id: int, turn_id: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: turn {turn_id} is already recorded with other content;"
            " use a new turn_id for a new turn"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


class TurnInProgress(TurnlogError):
    """A turn was started while the conversation's last one is still open."""

    def __init__(self, stream_id: int, turn_id: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: turn {turn_id} is still being answered; wait until it"
            " ends, or stop it first"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


class TransactionInTheWay(TurnlogError):
    """A turn's start or end must be committed at once, and the caller's transaction prevents it."""

    def __init__(self, stream_id: int, what: str) -> None:
        super().__init__(
            f"conversation {stream_id}: {what} commits at once, but the transaction around it has"
            " written already, or holds a lock to do so; commit that first, or take the view out of"
            " ATOMIC_REQUESTS with @transaction.non_atomic_requests"
        )
        self.stream_id = stream_id


class UnknownTurn(TurnlogError):
    """A turn that the conversation does not have."""

    def __init__(
        self, stream_id: int, turn_id: Any, advice: str = "start it with start_turn()"
    ) -> None:
        super().__init__(f"conversation {stream_id}: there is no turn {turn_id}; {advice}")
        self.stream_id = stream_id
        self.turn_id = turn_id


class NotWaiting(TurnlogError):
    """A decision about a tool call that does not wait for one.

    `why` is `unknown` (there is no such turn), `erased`, `ended` (it was answered, stopped, or the
    conversation went on or was cleared), `running` (it is being answered), `no_call` or `decided`.
    """

    _WHY: ClassVar = {
        "unknown": "the conversation has no such turn",
        "erased": "the turn is erased",
        "ended": "the turn has ended",
        "running": "the turn is being answered, and asks for nothing",
        "no_call": "the turn does not wait for this call",
        "decided": "it is decided already",
    }

    def __init__(self, stream_id: int, turn_id: Any, call: Any, why: str) -> None:
        super().__init__(
            f"conversation {stream_id}: expected a call that waits for approval, found call {call}"
            f" of turn {turn_id}: {self._WHY[why]}; nothing was recorded, look at the conversation"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id
        self.call = call
        self.why = why


class BranchRefused(TurnlogError):
    """A turn that cannot be replaced or chosen."""

    def __init__(self, stream_id: int, turn_id: Any, why: str) -> None:
        super().__init__(
            f"conversation {stream_id}: turn {turn_id} can be neither replaced nor chosen: {why}"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


class AppendOnlyError(TurnlogError):
    """An attempt to change or delete what is only ever appended to."""


class NotStored(TurnlogError):
    """The database took a statement, and did not keep what it was to write; nothing was written."""

    def __init__(self, table: str, what: str) -> None:
        super().__init__(
            f"{table}: {what}; nothing was written: a rule, a trigger or a policy on the table"
            " drops or changes rows. `manage.py check --database ALIAS` names what is there that"
            " is not turnlog's: remove it"
        )
        self.table = table


class UnreadableEvent(TurnlogError):
    """A stored event that cannot be read as one of today's. It stays in the log as it is."""

    def __init__(self, message: str, type_name: str, schema: int | None) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.schema = schema
        self.stream_id: int | None = None
        self.version: int | None = None

    def at(self, stream_id: int, version: int) -> Self:
        """This error, saying where in the log the event is."""
        self.stream_id, self.version = stream_id, version
        return self

    def __str__(self) -> str:
        where = ""
        if self.stream_id is not None:
            where = f"conversation {self.stream_id}, version {self.version}: "
        return where + super().__str__()

    def __reduce__(self) -> Any:
        # The workers of a rebuild are processes: the error must come back from them unchanged. By
        # default, Exception would call __init__ with the message alone.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[UnreadableEvent], arguments: Any, attributes: Any) -> UnreadableEvent:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class UnknownEventType(UnreadableEvent):
    """An event type, schema or payload that this version of turnlog does not know."""

    def __init__(self, type_name: str, schema: int | None = None, what: str = "") -> None:
        found = type_name if schema is None else f"{type_name} schema {schema}"
        super().__init__(
            f"expected an event that this version of turnlog knows, found {found}{what}; a newer"
            " version wrote it, or an app that is not installed here: upgrade turnlog, or install"
            " the app",
            type_name,
            schema,
        )


class UpcastFailed(UnreadableEvent):
    """An event of an older schema that its upcasters do not turn into one of today's."""

    def __init__(self, type_name: str, schema: int, why: str) -> None:
        super().__init__(
            f"expected the upcasters to turn {type_name} schema {schema} into an event of today,"
            f" but {why}; fix the code: the stored event has not changed",
            type_name,
            schema,
        )


class UnknownConversation(TurnlogError):
    """A conversation that does not exist."""

    def __init__(self, pk: int) -> None:
        super().__init__(f"there is no conversation {pk}; the admin lists them with their numbers")
        self.pk = pk


class UnknownUser(TurnlogError):
    """A user that is not stored: a guest, or a user that was deleted or never saved."""

    def __init__(self, user: Any) -> None:
        super().__init__(
            f"expected a user that is stored, found {type(user).__name__} without a primary key;"
            " to erase what a deleted user said, erase conversation by conversation"
        )
        self.user = user


class MomentError(TurnlogError):
    """A moment that a conversation does not have, or that is ambiguous."""

    def __init__(self, stream_id: int, message: str) -> None:
        super().__init__(f"conversation {stream_id}: {message}")
        self.stream_id = stream_id


class NotPermitted(TurnlogError):
    """The user may not do this in another user's conversation."""

    def __init__(self, stream_id: int, what: str, user: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: only its owner may {what} it, or any user who is logged in"
            f" if it never had an owner; user {getattr(user, 'pk', None)} is not allowed to: ask"
            " its owner"
        )
        self.stream_id = stream_id
        self.user = user


class UnknownProjection(TurnlogError):
    """A name under which no projection is registered."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown projection {name!r}; known projections: {', '.join(known)}")
        self.name = name


class ProjectionFailed(TurnlogError):
    """An event that a projection could not apply."""

    def __init__(
        self,
        projection: str,
        stream_id: int,
        version: int,
        error: str,
        advice: str = "fix the projection",
    ) -> None:
        super().__init__(
            f"projection {projection!r} could not apply version {version} of conversation"
            f" {stream_id}: {error}; {advice} and run it again"
        )
        self.projection = projection
        self.stream_id = stream_id
        self.version = version
        self.error = error
        self.advice = advice

    def __reduce__(self) -> Any:
        # The workers of a rebuild are processes: the error must come back from them unchanged.
        place = (self.projection, self.stream_id, self.version)
        return type(self), (*place, self.error, self.advice)


class RebuildInProgress(TurnlogError):
    """A second rebuild of a projection that is being rebuilt."""

    def __init__(self, projection: str, runner: Any) -> None:
        super().__init__(
            f"projection {projection!r} is being rebuilt already, by {runner}; wait until that"
            " ends, or stop it first"
        )
        self.projection = projection


class RebuildCutOff(TurnlogError):
    """A rebuild that lost one of its processes, or that was prevented from continuing."""


class NothingToResume(TurnlogError):
    """`--resume` was given, but no rebuild was cut off."""

    def __init__(self, projection: str, why: str) -> None:
        super().__init__(
            f"projection {projection!r} has no rebuild to resume: {why}; leave --resume out to"
            " rebuild it from the beginning"
        )
        self.projection = projection


class BlobFileError(TurnlogError):
    """A file of a blob that its storage could not write, read or delete."""

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__(
            f"{what} ({type(error).__name__}: {str(error)[:200]}); check the storage that"
            " TURNLOG['BLOB_STORAGE'] names"
        )


class LogDamaged(TurnlogError):
    """The log does not match a signed checkpoint."""


class CheckpointNotKept(TurnlogError):
    """A checkpoint that could not be kept outside the database and so is not stored either."""


class ReasonRefused(TurnlogError):
    """A reason that cannot be used: reasons stay in the log permanently."""


class RemarkRefused(TurnlogError, ValueError):
    """A note, a score or a sign-off that cannot be kept; nothing was written."""


class QueueRefused(TurnlogError, ValueError):
    """Something that cannot be done with a queue of conversations; nothing was written."""


class UnknownQueue(TurnlogError, LookupError):
    """A number that no queue has."""

    def __init__(self, number: int) -> None:
        super().__init__(f"expected the number of a queue, found {number}")
        self.number = number


class LegalHold(TurnlogError):
    """An attempt to erase something that is under a legal hold."""

    def __init__(self, stream_id: int, reason: str) -> None:
        super().__init__(
            f"conversation {stream_id} is under a legal hold ({reason}): nothing of it is erased;"
            " lift the hold first"
        )
        self.stream_id = stream_id
        self.reason = reason


class NotHeld(TurnlogError):
    """An attempt to lift a legal hold that does not exist."""

    def __init__(self, stream_id: int) -> None:
        super().__init__(f"conversation {stream_id} is under no legal hold; there is none to lift")
        self.stream_id = stream_id


class TurnErased(TurnlogError):
    """An attempt to record a turn whose words have been erased meanwhile."""

    def __init__(self, stream_id: int, turn_id: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: turn {turn_id} has been erased, so its words are not"
            " recorded again; use a new turn_id for a new turn"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


class ErasureFailed(TurnlogError):
    """A projection could not erase its copies or, if `stream_id` is None, forget a user; nothing
    was erased or forgotten."""

    def __init__(self, projection: str, stream_id: int | None, error: str) -> None:
        said = (
            f"forget the user: {error}; the user was not forgotten: fix the projection and forget"
            if stream_id is None
            else f"erase its copies of conversation {stream_id}: {error}; nothing was erased: fix"
            " the projection and erase"
        )
        super().__init__(f"projection {projection!r} could not {said} again")
        self.projection = projection
        self.stream_id = stream_id
        self.error = error


class ErasureIncomplete(TurnlogError):
    """In an erasure of much, something could not be erased; the rest is erased.

    `receipt` says what was erased of one conversation; None if several were being erased, whose
    receipts were given one by one.
    """

    def __init__(self, errors: list[TurnlogError], receipt: Any = None) -> None:
        told = "; ".join(map(str, errors))
        if receipt is not None:
            told = f"{len(receipt.events)} events are erased, and the rest is not: {told}"
        super().__init__(told)
        self.errors = errors
        self.receipt = receipt


class ReceiptNotKept(TurnlogError):
    """An erasure was done, but its receipt could not be written outside the database.

    `receipt` is that of this erasure; None if many were being written.
    """

    def __init__(self, message: str, receipt: Any = None) -> None:
        super().__init__(message)
        self.receipt = receipt


class FilesNotDeleted(ReceiptNotKept):
    """An erasure was done and its receipt was kept, but files of its blobs are still there."""


class ReceiptRefused(TurnlogError):
    """A receipt that cannot be read, or that belongs to another log."""


class SandboxRefused(TurnlogError):
    """Code that a model wrote cannot run here; the message can be shown to the user."""


class ModelError(TurnlogError):
    """The model could not answer; the message can be shown to the user."""
