"""Side streams: what reviewers do is events, too, in streams beside the conversations.

A conversation's versions, its live stream and what its owner downloads stay as they are. A side
stream has a row of the conversations' table, so that the chain, the proof, erasure and legal holds
know it like any other; `Conversation.objects` does not find it.
"""

from __future__ import annotations

from collections.abc import Collection

from .tables.conversation import NOBODY, rows

VIEWS = "views"
"""The name of the stream of the searches that reviewers have saved."""

VERIFICATIONS = "verifications"
"""The name of the stream of what verify_log has found."""

_REVIEW, _ACCESSES, _QUEUE = "review/", "accesses/", "queue/"


def review_of(conversation_id: int) -> str:
    """The name of the stream of what reviewers write about a conversation."""
    return f"{_REVIEW}{conversation_id}"


def reviewed_in(streams: Collection[int]) -> dict[int, int]:
    """Return the conversations that these streams are about, by stream, of those that are."""
    return {pk: int(number) for pk, number in _named(_REVIEW, streams).items()}


def accesses_of(month: str) -> str:
    """The name of the stream of a month's accesses; the month is written as 2026-11."""
    return f"{_ACCESSES}{month}"


def months_in(streams: Collection[int]) -> dict[int, str]:
    """Return the months whose accesses these streams hold, by stream, of those that do."""
    return _named(_ACCESSES, streams)


def queue_of(number: int) -> str:
    """The name of the stream of a queue of conversations to review."""
    return f"{_QUEUE}{number}"


def queues_in(streams: Collection[int]) -> dict[int, int]:
    """Return the queues' numbers of these streams, by stream, of those that are queues."""
    return {pk: int(number) for pk, number in _named(_QUEUE, streams).items()}


def queue_streams() -> list[int]:
    """The streams of all queues."""
    queues = rows().filter(beside__startswith=_QUEUE)
    return list(queues.order_by("pk").values_list("pk", flat=True))


def new_queue() -> int:
    """Open the stream of a new queue, in the caller's transaction; return the queue's number.

    Raises IntegrityError if somebody else opens one at the same time.
    """
    last = rows().filter(beside__startswith=_QUEUE).order_by("-pk")
    name = last.values_list("beside", flat=True).first()
    number = int(name.removeprefix(_QUEUE)) + 1 if name else 1
    rows().create(beside=queue_of(number), owner_actor_id=NOBODY)
    return number


def found(name: str) -> int | None:
    """The number of the side stream of a name; None if nothing was ever written there."""
    return rows().filter(beside=name).values_list("pk", flat=True).first()


def opened(name: str) -> int:
    """The number of the side stream of a name, which is opened if there is none."""
    if (known := found(name)) is not None:
        return known
    # Two that open it at once: the name is unique, and the second one finds the first one's.
    stream, _ = rows().get_or_create(beside=name, defaults={"owner_actor_id": NOBODY})
    return int(stream.pk)


def _named(prefix: str, streams: Collection[int]) -> dict[int, str]:
    """The names of these streams after a prefix, by stream, of those whose name begins with it."""
    named = rows().filter(pk__in=streams, beside__startswith=prefix).values_list("pk", "beside")
    return {pk: name.removeprefix(prefix) for pk, name in named if name}
