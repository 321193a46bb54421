"""The tutorial's application, with chats whose model server is a bad one, and a way to clear.

Each is one line of what the tutorial teaches: a subclass with a setting of its own.
"""

import os
import sys

from mysite.asgi import application as tutorial  # First: it sets Django up.

from channels.auth import AuthMiddlewareStack  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from channels.security.websocket import AllowedHostsOriginValidator  # isort: skip
from django.http import HttpResponse  # isort: skip
from django.urls import path  # isort: skip
from example.consumers import LanguageTutorChatConsumer  # isort: skip
from example.routing import websocket_urlpatterns  # isort: skip
from mysite import urls  # isort: skip
from turnlog.models import Conversation  # isort: skip


class Unreachable(LanguageTutorChatConsumer):
    llm_openai_base_url = os.environ.get("UNREACHABLE_URL", "http://127.0.0.1:9/v1")


class Impatient(LanguageTutorChatConsumer):
    llm_timeout = 0.4


class Scripted(LanguageTutorChatConsumer):
    llm_openai_base_url = os.environ.get("SCRIPTED_URL")
    llm_timeout = 20


def leave():
    """Leave."""
    sys.exit(3)


async def leave_the_loop():
    """Leave, from the event loop."""
    sys.exit(3)


class Leaving(LanguageTutorChatConsumer):
    tools = (leave, leave_the_loop)
    approve_tools = ()


def clear(request, conversation_pk):
    """What a project's "new chat" button would do."""
    Conversation.objects.get(pk=conversation_pk).clear(by=request.user, reason="a fresh start")
    return HttpResponse("cleared", content_type="text/plain")


urls.urlpatterns += [path("clear/<int:conversation_pk>/", clear)]

application = ProtocolTypeRouter(
    {
        **tutorial.application_mapping,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        *websocket_urlpatterns,
                        path("ws/unreachable/<int:conversation_pk>/", Unreachable.as_asgi()),
                        path("ws/impatient/<int:conversation_pk>/", Impatient.as_asgi()),
                        path("ws/leaving/<int:conversation_pk>/", Leaving.as_asgi()),
                        path("ws/scripted/<int:conversation_pk>/", Scripted.as_asgi()),
                    ]
                )
            )
        ),
    }
)
