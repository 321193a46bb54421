from django.contrib.auth.decorators import login_required
from django.shortcuts import render

from example.models import LLMChatRoom


@login_required
def language_tutor_chat(request, room_pk: int):

    llm_chat_room, __ = LLMChatRoom.objects.get_or_create(pk=room_pk)
    conversation_pk = llm_chat_room.conversation.pk
    ws_url = f"/ws/example/chat/{conversation_pk}/"

    return render(request, "turnlog/chat_room_ws.html", {
        "ws_url": ws_url,
    })
