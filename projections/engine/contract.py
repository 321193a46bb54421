"""What the engine must know of a projection; what an author writes is in `projection`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ...events.models import Event

Row = dict[str, Any]
"""A row's values by the names of its fields, without its id and its conversation."""


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
    """A projection that makes whole conversations by SQL of its own, faster than event by event.

    The message list is one. A projection need not be: the engine makes its rows by `apply`.
    """

    def follow(self, events: Sequence[Event]) -> None:
        """Do what else a batch means, once it is inserted and `insert` has run with it."""

    def rebuild(self, streams: Sequence[int], until: int | None) -> None:
        """Replace the rows of these conversations, up to position `until` if given."""

    def expected(self, streams: Sequence[int]) -> dict[int, list[Row]]:
        """Return what the rows should be, from the log alone and by another way than `rebuild`."""
