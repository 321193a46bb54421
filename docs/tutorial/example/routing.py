from django.urls import path

from .consumers import LanguageTutorChatConsumer

websocket_urlpatterns = [
    path(
        "ws/example/chat/<int:conversation_pk>/",
        LanguageTutorChatConsumer.as_asgi(),
        name="language-tutor-chat",
    ),
    # 대화방 없이: 채팅은 되지만 아무것도 기록하지 않습니다.
    path("ws/example/chat/language-tutor/", LanguageTutorChatConsumer.as_asgi()),
]
