"""Every exception of turnlog, under one base.

A message states what was expected, what was found, where, and what to do. The values are kept in
attributes, so that callers need not read the text.
"""

from __future__ import annotations

from typing import Any


class TurnlogError(Exception):
    """Anything turnlog refuses or cannot do."""


class CodecError(TurnlogError):
    """A value that cannot be stored exactly, or a document that cannot be read."""

    def __init__(self, message: str, *, path: str = "$", type_name: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.type_name = type_name


class ConfigurationError(TurnlogError):
    """The project's settings or a consumer's attributes cannot be used as they are."""


class ConcurrencyError(TurnlogError):
    """The stream is not at the version the writer expected."""

    def __init__(self, stream_id: int, expected: int, actual: int) -> None:
        super().__init__(
            f"conversation {stream_id}: expected to append after version {expected}, but the stream"
            f" is at version {actual}; read it again and decide anew"
        )
        self.stream_id = stream_id
        self.expected = expected
        self.actual = actual


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


class UnknownTurn(TurnlogError):
    """A turn that the conversation does not have."""

    def __init__(self, stream_id: int, turn_id: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: there is no turn {turn_id}; start it with start_turn()"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


class AppendOnlyError(TurnlogError):
    """An attempt to change or delete what is only ever appended to."""


class UnknownEventType(TurnlogError):
    """An event type or schema that this version of turnlog does not know."""

    def __init__(self, type_name: str, schema: int | None = None) -> None:
        what = type_name if schema is None else f"{type_name} schema {schema}"
        super().__init__(
            f"unknown event {what}; it was written by a newer turnlog or by an app that is not"
            " installed here"
        )
        self.type_name = type_name
        self.schema = schema


class UnknownConversation(TurnlogError):
    """A conversation that is not there."""

    def __init__(self, pk: int) -> None:
        super().__init__(f"there is no conversation {pk}; the admin lists them with their numbers")
        self.pk = pk


class MomentError(TurnlogError):
    """A moment that a conversation does not have, or that does not say which one is meant."""

    def __init__(self, stream_id: int, message: str) -> None:
        super().__init__(f"conversation {stream_id}: {message}")
        self.stream_id = stream_id


class NotPermitted(TurnlogError):
    """Somebody may not do this in a conversation of somebody else."""

    def __init__(self, stream_id: int, what: str, user: Any) -> None:
        super().__init__(
            f"conversation {stream_id}: only its owner may {what} it, or whoever is logged in where"
            f" it never had an owner, and user {getattr(user, 'pk', None)} is not; ask its owner"
        )
        self.stream_id = stream_id
        self.user = user


class UnknownProjection(TurnlogError):
    """A projection's name that nobody registered."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown projection {name!r}; known are: {', '.join(known)}")
        self.name = name


class ProjectionFailed(TurnlogError):
    """An event that a projection could not apply."""

    def __init__(self, projection: str, stream_id: int, version: int, error: str) -> None:
        super().__init__(
            f"projection {projection!r} could not apply version {version} of conversation"
            f" {stream_id}: {error}; mend the projection and run it again"
        )
        self.projection = projection
        self.stream_id = stream_id
        self.version = version
        self.error = error

    def __reduce__(self) -> Any:
        # The workers of a rebuild are processes: it must come back from them as it was.
        return type(self), (self.projection, self.stream_id, self.version, self.error)


class RebuildInProgress(TurnlogError):
    """A second rebuild of a projection that is being rebuilt."""

    def __init__(self, projection: str, runner: Any) -> None:
        super().__init__(
            f"projection {projection!r} is being rebuilt already, by {runner}; wait until that"
            " ends, or stop it first"
        )
        self.projection = projection


class RebuildCutOff(TurnlogError):
    """A rebuild that lost one of its processes, or that somebody kept from going on."""


class NothingToResume(TurnlogError):
    """`--resume` where no rebuild was cut off."""

    def __init__(self, projection: str, why: str) -> None:
        super().__init__(
            f"projection {projection!r} has no rebuild to resume: {why}; leave --resume out to"
            " rebuild it from the beginning"
        )
        self.projection = projection


class LogDamaged(TurnlogError):
    """The log is not what a signed checkpoint says that it was."""


class CheckpointNotKept(TurnlogError):
    """A checkpoint that was signed and stored, but could not be kept outside the database."""


class ModelError(TurnlogError):
    """The model could not answer; the message is fit to be shown to the person."""
