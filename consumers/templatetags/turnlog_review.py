"""How the review pages write states, spans of time, messages and JSON."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from ...core.attached import attached
from ...core.wellformed import clipped, wellformed
from ...core.wording import text_of

register = template.Library()

_LONGEST = 20_000
"""Characters of one message of a prompt that a page shows."""


@register.filter
def review_states(row: Any) -> list[tuple[str, str]]:
    """Return the states of an overview, each as a key and in the active language."""
    states = {
        "failed": (row.failed, _("failed")),
        "cancelled": (row.stopped, _("stopped")),
        "interrupted": (row.interrupted, _("interrupted")),
        "cleared": (row.clearings, _("cleared")),
        "erased": (row.erasures, _("erased")),
        "held": (row.held, _("held")),
        "waiting": (row.waiting_turn, _("waiting")),
    }
    return [(key, name) for key, (there, name) in states.items() if there]


@register.filter
def review_outcome(standing: str) -> str:
    """Return how a turn stands, in the active language."""
    names = {
        "open": _("open"),
        "waiting": _("waiting"),
        "completed": _("answered"),
        "failed": _("failed"),
        "cancelled": _("stopped"),
        "interrupted": _("interrupted"),
        "unrecorded": _("not recorded"),
        "erased": _("erased"),
    }
    return names.get(standing, standing)


@register.filter
def review_action(action: str) -> str:
    """Return what was done with others' conversations, in the active language."""
    names = {
        "listed": _("saw a list"),
        "read": _("read"),
        "revealed": _("revealed personal data"),
        "exported": _("exported"),
    }
    return names.get(action, action)


@register.filter
def review_queue(state: str) -> str:
    """Return the state of a queue, or of an item of one, in the active language."""
    names = {
        "active": pgettext("queue", "active"),
        "paused": pgettext("queue", "paused"),
        "archived": pgettext("queue", "archived"),
        "pending": pgettext("queue", "pending"),
        "in_progress": pgettext("queue", "in progress"),
        "awaiting": pgettext("queue", "awaiting resolution"),
        "flagged": pgettext("queue", "flagged"),
        "completed": pgettext("queue", "completed"),
        "gone": pgettext("queue", "erased"),
    }
    return names.get(state, state)


@register.filter
def review_of(remarks: Any, turn_id: Any) -> Any:
    """Return the remarks on a turn."""
    return remarks.get(turn_id, ())


@register.filter
def review_advice(status: Any) -> str:
    """Return what to do about a projection, without its error: that may quote what was said."""
    if status.state in ("stopped", "retrying"):
        return "run `manage.py projection_status`: it says which event cannot be applied, and why"
    return str(status.advice)


@register.filter
def review_span(span: dt.timedelta) -> str:
    """Return a span of time in its largest unit."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d day", "%(count)d days", hours // 24) % {"count": hours // 24}


@register.filter
def review_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return wellformed(json.dumps(value, indent=2, ensure_ascii=False, default=text_of))


@register.filter
def review_text(message: Any) -> str:
    """Return the beginning of a message's words; of one without words, of all of it."""
    said, content = getattr(message, "text", ""), getattr(message, "content", "")
    files = [
        f"[{_('Picture') if file.kind == 'picture' else _('File')}: {file.name}]"
        for file in attached(content, getattr(message, "additional_kwargs", None))
        if file.mime_type != "text/plain"  # Its text is among the words.
    ]
    said = "\n".join(filter(None, [str(said), *files])) or content or message
    return clipped(text_of(said), _LONGEST)
