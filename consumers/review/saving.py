"""Saved views of the list: searches with a name, shared by all who review."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from ...core.errors import RemarkRefused
from ...core.masking.finding import FinderFailed, find
from ...events import views
from ...events.models import Actor
from ...events.tables.database import log_database
from ...projections.models import SavedView
from ...projections.overview.query import MAX_QUERY, parse
from ...projections.views.projection import MOST, saved_views
from .access import PERMISSION
from .acting import action
from .sealing import names_nobody, sealed, unsealed

_OF_USER = re.compile(r'(?<!\S)-?user:(?:"[^"]*"|[^\s"]+)(?!\S)', re.IGNORECASE)


class Asked(NamedTuple):
    """What the list is asked for: a search, and the name of the view that it is, if it is one.

    `user` asks; None only without a search.
    """

    query: str
    view: str
    user: Any = None

    @property
    def address(self) -> str:
        """The same in an address, without anybody's words or name."""
        if self.view:
            return urlencode({"view": self.view})
        kept = self.query if names_nobody(self.query) else sealed(self.query, self.user)
        return urlencode({"q" if kept == self.query else "s": kept})


def asked(given: Mapping[str, str], user: Any, saved: Sequence[SavedView]) -> Asked:
    """Return what an address asks for: a search, a view, or else the view that the user chose.

    Raises BadSeal.
    """
    named = {view.name: view.query for view in saved}
    if "s" in given or "q" in given:
        query = unsealed(given["s"], user) if "s" in given else given["q"]
        view = next((name for name, each in named.items() if each == query), "")
        return Asked(query, view, user)
    name = given.get("view", "") or ("" if "view" in given else chosen_by(user))
    return Asked(named.get(name, ""), name if name in named else "", user)


def chosen_by(user: Any) -> str:
    """Return the name of the view that a user's list begins with; empty for none."""
    using = log_database()
    actors = Actor.objects.using(using).filter(user=user).values("pk")
    choices = SavedView.objects.using(using).filter(chosen_by__in=actors)
    return choices.values_list("name", flat=True).first() or ""


@action
def search(request: HttpRequest) -> str:
    """Search the list: the words come in a form, so that no log of requests has them."""
    wanted = Asked(request.POST.get("q", "")[: 2 * MAX_QUERY], "", request.user)
    return f"{reverse('turnlog_review:conversations')}?{wanted.address}"


@action
def save(request: HttpRequest) -> str:
    """Give a search a name. Raises QueryError if it means nothing."""
    _require_reviewer(request)
    name, query = request.POST.get("name", ""), request.POST.get("q", "")
    if _holds_personal_data(name, query):
        raise RemarkRefused(
            _("Expected a search without personal data, because all who review see saved views.")
        )
    if len(saved_views()) >= MOST:
        raise RemarkRefused(
            _("Expected at most %(most)d saved views: remove one of them first.") % {"most": MOST}
        )
    views.save(name, query, by=request.user)
    return _list(" ".join(name.split()))


@action
def remove(request: HttpRequest) -> str:
    """Take a view's name away."""
    _require_reviewer(request)
    views.remove(request.POST.get("name", ""), by=request.user)
    return _list("")


@action
def choose(request: HttpRequest) -> str:
    """Let one's list begin with a view, or with all conversations."""
    _require_reviewer(request)
    views.choose(name := request.POST.get("name", ""), by=request.user)
    return _list(name)


def _holds_personal_data(name: str, query: str) -> bool:
    # A user name says who said it; whatever else there is may hold anything. A number that is
    # written with spaces is several words, and may have conditions in between.
    others = [each for each in parse(query) if each.key != "user"]
    said = [word for each in others for word in each.values if isinstance(word, str)]
    words = " ".join(word for each in others if each.key == "text" for word in each.values)
    try:
        return any(map(find, (name, *said, words, _OF_USER.sub(" ", query))))
    except FinderFailed:
        return True  # Nobody can say that there is none.


def _require_reviewer(request: HttpRequest) -> None:
    # Not whoever CAN_REVIEW lets see a conversation of theirs: what is saved is everybody's.
    if not request.user.has_perm(PERMISSION):
        raise Http404


def _list(view: str) -> str:
    return f"{reverse('turnlog_review:conversations')}?{urlencode({'view': view})}"
