import os

from django.urls import include, path
from turnlog.views import AgentChatView, ConversationList

from .offline_tutor import OfflineTutor
from .tools import look_up_price, place_order


class OwnChat(AgentChatView):
    llm_system_prompt_template = "You are a language tutor. Answer in the user's language."
    tools = [look_up_price, place_order]
    approve_tools = ["place_order"]
    name_conversations = "words"

    def get_llm(self):
        return super().get_llm() if os.environ.get("OPENAI_API_KEY") else OfflineTutor()


class OwnConversations(ConversationList):
    chat_url_name = "own-chat"

    def get_conversations(self):
        # The analyst's rooms have a page of their own.
        return super().get_conversations().filter(analystroom=None)


urlpatterns = [
    path("", include(OwnConversations.urls())),
    path("<int:pk>/", OwnChat.as_view(), name="own-chat"),
]
