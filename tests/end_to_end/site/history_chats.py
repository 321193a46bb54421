"""The tutorial's application, with chats that give their model other previous messages."""

from mysite.asgi import application as tutorial  # First: it sets Django up.

from channels.auth import AuthMiddlewareStack  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from channels.security.websocket import AllowedHostsOriginValidator  # isort: skip
from django.urls import path  # isort: skip
from example.consumers import LanguageTutorChatConsumer  # isort: skip
from example.routing import websocket_urlpatterns  # isort: skip
from langchain_core.messages import SystemMessage  # isort: skip


class WithTools(LanguageTutorChatConsumer):
    llm_history_tools = True


class Short(LanguageTutorChatConsumer):
    llm_history_tools = True
    llm_history_max_tokens = 60


class Summarising(LanguageTutorChatConsumer):
    async def aget_prompt_messages(self):
        messages = await super().aget_prompt_messages()
        return [SystemMessage(f"{len(messages)} messages came before."), *messages[-2:]]


class Plain(LanguageTutorChatConsumer):
    llm_system_prompt_template = ""
    llm_temperature = 0.25
    llm_max_tokens = 77
    tools = None
    approve_tools = ()


application = ProtocolTypeRouter(
    {
        **tutorial.application_mapping,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        *websocket_urlpatterns,
                        path("ws/with-tools/<int:conversation_pk>/", WithTools.as_asgi()),
                        path("ws/short/<int:conversation_pk>/", Short.as_asgi()),
                        path("ws/summarising/<int:conversation_pk>/", Summarising.as_asgi()),
                        path("ws/plain/<int:conversation_pk>/", Plain.as_asgi()),
                    ]
                )
            )
        ),
    }
)
