"""The list as a class-based view: a project says where its chats are, and how one begins."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_protect

from ...core.errors import ConfigurationError, TurnlogError
from ...core.wellformed import wellformed
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from ...projections.search.query import MAX_QUERY, SearchError
from ..review.answers import guarded
from .finding import page_of

NAMESPACE = "turnlog_conversations"
LONGEST_TITLE = 255


class BadTitle(TurnlogError, ValueError):
    """A title that does not fit."""


@method_decorator(csrf_protect, name="dispatch")
class ConversationList(View):
    """A person's own conversations: shown, searched, begun, renamed and cleared.

    Subclass it, set `chat_url_name`, and put `path("chats/", include(YourList.urls()))` into your
    URLs. It needs no JavaScript. On the chat's page, the same list stands beside the conversation.
    """

    chat_url_name: str = ""
    """The name of the URL of a chat's page; its one argument is the conversation's number."""
    template_name: str = "turnlog/conversations.html"
    panel_template_name: str = "turnlog/conversations_panel.html"
    page_size: int = 30
    """Conversations on one page."""

    action: str = "list"
    """What this address does; set by `urls()`."""

    @classmethod
    def urls(cls) -> tuple[list[URLPattern], str]:
        """Return the addresses, for `include()`; their namespace is `turnlog_conversations`."""
        return [
            path("", cls.as_view(), name="list"),
            path("new/", cls.as_view(action="new"), name="new"),
            path("<int:pk>/rename/", cls.as_view(action="rename"), name="rename"),
            path("<int:pk>/clear/", cls.as_view(action="clear"), name="clear"),
        ], NAMESPACE

    # What a project overrides

    def get_chat_url(self, conversation: Conversation) -> str:
        """Return the address of a chat's page. Raises ConfigurationError."""
        if not self.chat_url_name:
            raise ConfigurationError(
                f"{type(self).__name__}.chat_url_name must be the name of a URL that takes a"
                " conversation's number, found none; or override get_chat_url()"
            )
        return reverse(self.chat_url_name, args=[conversation.pk])

    def get_conversations(self) -> Any:
        """Return the conversations that this person may see here, as a query set."""
        conversations = Conversation.objects.using(log_database())
        return conversations.filter(user=self._user)

    def create_conversation(self) -> Conversation:
        """Begin a conversation for this person."""
        return Conversation.objects.create(user=self._user)

    # Requests

    @property
    def _user(self) -> Any:
        return self.request.user

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if self._is_panel():
                return HttpResponse(status=401)  # A page to sign in does not fit beside a chat.
            return redirect_to_login(request.get_full_path())
        # A list is only read, and everything else only done.
        allowed = ("GET", "HEAD") if self.action == "list" else ("POST",)
        self.http_method_names = [name.lower() for name in (*allowed, "OPTIONS")]
        return guarded(super().dispatch(request, *args, **kwargs))

    def get(self, request: HttpRequest) -> HttpResponse:
        words = wellformed(request.GET.get("q", "").replace("\0", ""))[:MAX_QUERY].strip()
        try:
            return self._shown(words)
        except SearchError as error:
            return self._shown("", problem=str(error), status=400)

    def post(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        try:
            if self.action == "new":
                return HttpResponseRedirect(self.get_chat_url(self._new()))
            conversation = self._mine(pk)
            if self.action == "rename":
                self._rename(conversation, request.POST.get("title", ""))
            else:
                conversation.clear(by=request.user)
        except TurnlogError as error:
            if isinstance(error, ConfigurationError):
                raise
            return self._shown("", problem=str(error), status=400)
        return HttpResponseRedirect(f"{self._address('list')}#conversation-{pk}")

    def _new(self) -> Conversation:
        """Return a new conversation; or the last one that was begun here, if nothing was said."""
        # Others that are empty may belong to a room with another chat. A session says which one
        # was begun here.
        session: Any = getattr(self.request, "session", {})
        begun = f"turnlog.begun {type(self).__module__}.{type(self).__qualname__}"
        last: Conversation | None = None
        if begun in session:
            last = self.get_conversations().filter(pk=session[begun]).first()
        if last is not None and not last.title:
            events = Event.objects.using(log_database()).filter(stream_id=last.pk)
            if not events.filter(turn_id__isnull=False).exists():
                return last
        new = self.create_conversation()
        session[begun] = new.pk
        return new

    def _mine(self, pk: int | None) -> Conversation:
        # The same answer for others' and for none: a number tells nobody whether there is one.
        found: Conversation | None = None
        if pk is not None and pk < 2**63:
            found = self.get_conversations().filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def _rename(self, conversation: Conversation, given: str) -> None:
        title = " ".join(wellformed(given).split())
        if len(title) > LONGEST_TITLE:
            raise BadTitle(
                _(
                    "A name may have at most %(most)s characters, this one has %(found)s: choose a"
                    " shorter one. Nothing was changed."
                )
                % {"most": LONGEST_TITLE, "found": len(title)}
            )
        conversation.title = title
        conversation.changed_by = self.request.user
        conversation.save(update_fields=["title"])

    def _shown(self, words: str, *, problem: str = "", status: int = 200) -> HttpResponse:
        request, panel = self.request, self._is_panel()
        after = request.GET.get("after", "")
        found = page_of(
            self.get_conversations(), request.user, words, after=after, size=self.page_size
        )
        here = _path_of(request.headers.get("HX-Current-URL", "")) if panel else ""
        rows = [(each, self.get_chat_url(each)) for each in found.conversations]
        context = {
            "rows": rows,
            "current": next((each for each, url in rows if url == here), None),
            "q": words,
            "more": urlencode({"q": words, "after": found.after}) if found.after else "",
            "later": bool(after),
            "problem": problem,
            "longest": LONGEST_TITLE,
            "list_url": self._address("list"),
            "new_url": self._address("new"),
        }
        for each, _url in rows:
            each.rename_url = self._address("rename", each.pk)
            each.clear_url = self._address("clear", each.pk)
        template = self.panel_template_name if panel else self.template_name
        return render(request, template, context, status=status)

    def _is_panel(self) -> bool:
        return self.action == "list" and "panel" in self.request.GET

    def _address(self, name: str, *args: Any) -> str:
        match = self.request.resolver_match
        namespace = match.namespace if match else NAMESPACE
        return reverse(f"{namespace}:{name}", args=args)


def _path_of(url: str) -> str:
    """Return the path of an address that a client sent; empty if it is none."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
