"""The tutorial's application, with its chat over HTTP at `/http/NUMBER/`."""

from mysite.asgi import application as application  # First: it sets Django up.

from django.urls import path  # isort: skip
from example.consumers import LanguageTutorChatConsumer  # isort: skip
from mysite import urls  # isort: skip
from turnlog.views import AgentChatView  # isort: skip


class TutorOverHttp(AgentChatView):
    llm_system_prompt_template = LanguageTutorChatConsumer.llm_system_prompt_template
    tools = LanguageTutorChatConsumer.tools
    get_llm_prompt_context_data = LanguageTutorChatConsumer.get_llm_prompt_context_data


urls.urlpatterns += [path("http/<int:conversation_pk>/", TutorOverHttp.as_view())]
