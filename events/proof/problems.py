"""A problem that a verification finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written: where, what was expected and what was found.

    `position` is the event's position; None if it has none. If the problem does not concern an
    event, `position`, `stream_id` and `version` are None.
    """

    position: int | None
    stream_id: int | None
    version: int | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = []
        if self.position is not None:
            where.append(f"position {self.position}")
        if self.stream_id is not None:
            where.append(f"conversation {self.stream_id}")
        if self.version is not None:
            where.append(f"version {self.version}")
        place = ", ".join(where) or "database"
        if self.found.startswith("expected "):
            # An error that was met instead: it says itself what was expected.
            return f"{place}: {self.what}: {self.found}"
        return f"{place}: {self.what}: expected {self.expected}, found {self.found}"

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)
