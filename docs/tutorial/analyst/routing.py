from django.urls import path

from .consumers import SalesAnalystChatConsumer

websocket_urlpatterns = [
    path(
        "ws/analyst/<int:conversation_pk>/",
        SalesAnalystChatConsumer.as_asgi(),
        name="sales-analyst",
    ),
]
