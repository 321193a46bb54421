from django.contrib.auth.decorators import login_required
from django.shortcuts import render

from .models import AnalystRoom


@login_required
def sales_analyst(request):
    room, __ = AnalystRoom.objects.get_or_create(user=request.user)
    return render(request, "turnlog/chat_room_ws.html", {
        "ws_url": f"/ws/analyst/{room.conversation_id}/",
        "title": "카페 매출 분석",
    })
