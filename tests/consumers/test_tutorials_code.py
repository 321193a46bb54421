"""The code of django-pyhub-ai's tutorial, with only the package's name changed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import isolate_apps
from django.urls import path

from tests.project.models_for_tests import ScriptedModel
from turnlog.core.specs import LLMModel
from turnlog.models import Conversation, ConversationMessage

CONSUMERS = '''
from pyhub_ai.consumers import AgentChatConsumer, DataAnalystChatConsumer
from pyhub_ai.specs import LLMModel

class LanguageTutorChatConsumer(AgentChatConsumer):
    llm_model = LLMModel.OPENAI_GPT_4O
    llm_temperature = 1
    llm_system_prompt_template = """
You are a language tutor.
{언어}로 대화를 나눕시다. 번역과 발음을 제공하지 않고 {언어}로만 답변해주세요.
"{상황}"의 상황으로 상황극을 진행합니다.
가능한한 {언어} {레벨}에 맞는 단어와 표현을 사용해주세요.
    """
    llm_first_user_message_template = "첫 문장으로 대화를 시작해주세요."

    def get_llm_prompt_context_data(self) -> dict:
        return {
            "언어": "중국어",
            "상황": "스타벅스에서 커피를 주문하는 상황",
            "레벨": "초급",
        }

    # 로그인 여부에 상관없이, 웹소켓 접속을 허용하기
    async def can_accept(self) -> bool:
        return True
'''

MODELS = """
from django.db import models
from django_lifecycle import LifecycleModel, hook, BEFORE_CREATE
from pyhub_ai.models import Conversation

# 주의. models.Model 이 아니라 LifecycleModel 을 상속받아주세요.
class LLMChatRoom(LifecycleModel):
    conversation = models.OneToOneField(
        Conversation,
        on_delete=models.CASCADE,
    )

    # 모델 인스턴스 생성 이후에 자동 호출됩니다.
    @hook(BEFORE_CREATE)
    def on_before_create(self):
        # 본 모델에 소유자 User 필드가 있다면 지정해주세요.
        owner = None
        self.conversation = Conversation.objects.create(user=owner)
"""


def run(code: str, **names: Any) -> dict[str, Any]:
    namespace = {"__name__": "example", **names}
    exec(code.replace("pyhub_ai", "turnlog"), namespace)
    return namespace


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Any:
    cls = run(CONSUMERS)["LanguageTutorChatConsumer"]
    model = ScriptedModel(replies=[["您好！"], ["好的。"]], seen=[])
    monkeypatch.setattr(cls, "get_llm", lambda self: model, raising=False)
    cls.model = model
    return cls


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/ws/example/chat/language-tutor/", "/ws/example/chat/{pk}/"])
async def test_the_consumer_greets_whoever_comes(consumer: Any, url: str) -> None:
    conversation = await sync_to_async(Conversation.objects.create)(user=None)
    application = URLRouter(
        [
            path("ws/example/chat/language-tutor/", consumer.as_asgi()),
            path("ws/example/chat/<int:conversation_pk>/", consumer.as_asgi()),
        ]
    )
    communicator = WebsocketCommunicator(application, url.format(pk=conversation.pk))
    communicator.scope["user"] = AnonymousUser()
    connected, _ = await communicator.connect()
    assert connected
    page = ""
    while "您好！" not in page or 'data-outcome="completed"' not in page:
        page += await communicator.receive_from(timeout=30)
    await communicator.disconnect()
    [system, first] = consumer.model.seen[0]
    assert "중국어로만 답변해주세요" in system.content
    assert first.content == "첫 문장으로 대화를 시작해주세요."
    recorded = await sync_to_async(ConversationMessage.objects.count)()
    assert recorded == (2 if "{pk}" in url else 0)


@pytest.mark.django_db(transaction=True)
@isolate_apps("turnlog.events")
def test_the_room_opens_its_conversation() -> None:
    # In a project the app's label comes from where the file stands.
    meta = "    class Meta:\n        app_label = 'turnlog_events'\n\n    conversation ="
    room_class = run(MODELS.replace("    conversation =", meta, 1))["LLMChatRoom"]
    with connection.schema_editor() as editor:
        editor.create_model(room_class)
    try:
        room, created = room_class.objects.get_or_create(pk=1)
        assert created
        assert Conversation.objects.get().pk == room.conversation.pk
        room.conversation.clear()
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(room_class)


def test_the_methods_have_the_tutorials_signatures() -> None:
    from turnlog.consumers import AgentChatConsumer

    signatures = {
        "can_accept": [],
        "get_conversation_pk": [],
        "aget_conversation": [],
        "aget_previous_messages": [],
        "on_conversation_complete": ["human_message", "ai_message", "tools_output_list"],
    }
    for name, parameters in signatures.items():
        method = getattr(AgentChatConsumer, name)
        assert list(inspect.signature(method).parameters) == ["self", *parameters]
        assert inspect.iscoroutinefunction(method) == (name != "get_conversation_pk")
    assert AgentChatConsumer.llm_model is LLMModel.OPENAI_GPT_4O


@pytest.mark.parametrize(
    ("kwargs", "pk"),
    [
        ({}, None),
        ({"id": 4}, "4"),
        ({"pk": 3, "id": 4}, "3"),
        ({"conversation_id": 2, "pk": 3}, "2"),
        ({"conversation_pk": 1, "conversation_id": 2}, "1"),
        ({"conversation_pk": None, "pk": 3}, "3"),
    ],
)
async def test_the_conversation_is_looked_up_in_the_tutorials_order(
    kwargs: Any, pk: str | None
) -> None:
    from turnlog.mixins import ChatMixin

    chat = ChatMixin()
    chat.scope = {"url_route": {"kwargs": kwargs}}
    assert chat.get_conversation_pk() == pk
