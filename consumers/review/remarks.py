"""What reviewers wrote about a conversation, and the forms in which they write it."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import RemarkRefused
from ...core.masking.masker import Masker
from ...events.tables.database import log_database
from ...projections.models import Remark
from ...projections.queues.blind import seen_by
from ...projections.travel.speakers import Speakers
from .access import Reviewed, may_resolve

_MOST = 500
"""Remarks that a page shows: the last ones."""

MASKED_APART = "remarks"
"""Remarks are masked with a key of their own, for this purpose: they may hold guesses."""

CANNOT_JUDGE = "?"
_SCORE = "score-"


@dataclass(frozen=True, slots=True)
class Shown:
    """A remark, who wrote it, and whether whoever looks did."""

    row: Remark
    author: str
    mine: bool
    text: str
    quote: str

    @property
    def value(self) -> str:
        """A score's value in the active language."""
        value = json.loads(self.row.value or "null")
        if value is None:
            return _("cannot judge")
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        return str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """A score that a reviewer may give: choices, or a number's bounds."""

    name: str
    choices: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(slots=True)
class Remarks:
    """The remarks on a conversation: on all of it, and by turn."""

    general: list[Shown] = field(default_factory=list)
    on: dict[uuid.UUID, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    signed: list[Shown] = field(default_factory=list)
    more: bool = False

    @property
    def signed_by_me(self) -> int:
        """The version up to which whoever looks has signed off; 0 for none."""
        return max((shown.row.until or 0 for shown in self.signed if shown.mine), default=0)


def remarks_on(what: Reviewed, user: Any) -> Remarks:
    """Return what a user may see of what reviewers wrote about a conversation, for a page: they
    quote it."""
    written = Remark.objects.using(log_database()).filter(conversation=what.conversation)
    rows = seen_by(user, written, resolves=may_resolve(user))
    found = list(rows.order_by("-version")[: _MOST + 1])
    speakers = Speakers(row.actor_id for row in found)
    remarks = Remarks(more=len(found) > _MOST)
    apart = Masker(what.conversation.pk, MASKED_APART)
    for row in reversed(found[:_MOST]):
        mask = None if what.mask_for(row.actor_id) is None else apart
        text, quote = (
            each if mask is None or not each else mask.text(each) for each in (row.text, row.quote)
        )
        shown = Shown(row, speakers.name(row.actor_id), row.actor_id == what.mine, text, quote)
        if row.kind == "signed":
            remarks.signed.append(shown)
        elif row.turn_id is None:
            remarks.general.append(shown)
        else:
            remarks.on[row.turn_id].append(shown)
    return remarks


def choices() -> list[Choice]:
    """Return the scores of the settings, as forms show them."""
    return [_choice(name, kind) for name, kind in conf.get().scores.items()]


def _choice(name: str, kind: Any) -> Choice:
    if kind == "yes/no":
        return Choice(name, (("yes", _("yes")), ("no", _("no"))))
    if isinstance(kind[0], str):
        return Choice(name, tuple((each, each) for each in kind))
    return Choice(name, low=kind[0], high=kind[1])


def values_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a form, by name: of each field that has a value. Raises
    RemarkRefused."""
    fields = {key: str(text) for key, text in given.items() if key.startswith(_SCORE)}
    named = {key.removeprefix(_SCORE): text for key, text in fields.items() if text}
    return {name: value_of(name, text) for name, text in named.items()}


def value_of(name: str, text: str) -> Any:
    """Return what a form's text means for a score. Raises RemarkRefused."""
    scores: Mapping[str, Any] = conf.get().scores
    kind = scores.get(name)
    if text == CANNOT_JUDGE:
        return None
    if kind == "yes/no":
        return {"yes": True, "no": False}.get(text, text)
    if kind is None or isinstance(kind[0], str):
        return text
    try:
        number = float(text)
    except ValueError:
        raise RemarkRefused(
            _("%(name)s: expected %(expected)s, found %(value)s.")
            % {"name": name, "expected": f"{kind[0]}..{kind[1]}", "value": text[:64]}
        ) from None
    return int(number) if number.is_integer() else number
