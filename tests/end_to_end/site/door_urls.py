"""The tutorial's pages, and one whose socket's address comes from `reverse_ws()`."""

import os

from django.http import HttpResponse
from django.shortcuts import render
from django.template import loader
from django.urls import path
from mysite.security import POLICY
from mysite.urls import urlpatterns as tutorials

from turnlog.consumers import reverse_ws


def door(request, room: int):
    try:
        ws_url = reverse_ws("language-tutor-chat", conversation_pk=room)
    except LookupError as error:
        return HttpResponse(str(error), content_type="text/plain")
    return render(request, "turnlog/chat_room_ws.html", {"ws_url": ws_url})


def impersonal(request, room: int):
    """The template without `request` in its context: the page does not know whose it is."""
    context = {"ws_url": f"/ws/example/chat/{room}/"}
    return HttpResponse(loader.render_to_string("turnlog/chat_room_ws.html", context))


def nowhere(request):
    return render(request, "turnlog/chat_room_ws.html", {"ws_url": "/ws/nowhere/"})


def foreign(request):
    """A page that has nothing to do with the chat, but for what its script wants."""
    return HttpResponse('<link rel="icon" href="data:,">', headers={"Content-Security-Policy": ""})


def allow_another_origins_files(get_response):
    def middleware(request):
        files = os.environ.get("DOOR_FILES", "'self'")
        response = get_response(request)
        policy = POLICY.replace("script-src 'self'", f"script-src {files}")
        policy = policy.replace("style-src 'self'", f"style-src {files}")
        response.headers["Content-Security-Policy"] = policy
        return response

    return middleware


urlpatterns = [
    *tutorials,
    path("door/<int:room>/", door),
    path("impersonal/<int:room>/", impersonal),
    path("nowhere/", nowhere),
    path("foreign/", foreign),
]
