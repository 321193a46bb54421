"""What the engine must know about a projection; `projection` has what an author writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ...events.models import Event

Row = dict[str, Any]
"""A row's values by field name, without its id and its conversation."""


class Contract(Protocol):
    """See `Projection` for what each of these means."""

    name: ClassVar[str]
    version: ClassVar[int]
    handles: ClassVar[tuple[str, ...]]
    inline: ClassVar[bool]
    on_error: ClassVar[Literal["stop", "park"]]
    takes_erased: ClassVar[bool]

    def apply(self, events: Sequence[Event]) -> None: ...

    def reset(self, streams: Sequence[int]) -> None: ...


@runtime_checkable
class SetBased(Protocol):
    """A projection that makes whole conversations with its own SQL, faster than event by event.

    The message list is one. For all other projections, the engine makes the rows with `apply`.
    """

    def follows(self, events: Sequence[Event]) -> bool:
        """Return whether `follow` has anything to do for a batch."""

    def follow(self, events: Sequence[Event]) -> None:
        """Do what else a batch requires, after it is inserted and `insert` has run with it."""

    def rebuild(self, streams: Sequence[int], until: int | None) -> None:
        """Replace the rows of these conversations, up to position `until` if given."""

    def expected(self, streams: Sequence[int]) -> dict[int, list[Row]]:
        """Return what the rows should be, from the log alone and in another way than `rebuild`."""
