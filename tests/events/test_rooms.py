from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from turnlog.events.models import Conversation
from turnlog.events.rooms import ConversationRoom


@pytest.mark.django_db(transaction=True)
@isolate_apps("turnlog.events")
def test_a_room_opens_its_conversation_when_it_is_first_saved(user: Any) -> None:
    class Room(ConversationRoom):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "turnlog_events"

        def get_conversation_owner(self) -> Any:
            return user if self.name == "mine" else None

    with connection.schema_editor() as editor:
        editor.create_model(Room)
    try:
        mine, open_to_all = Room.objects.create(name="mine"), Room.objects.create(name="open")
        assert mine.conversation.user == user
        assert open_to_all.conversation.user is None
        given = Conversation.objects.create(title="given")
        assert Room.objects.create(conversation=given).conversation == given
        mine.name = "other"
        mine.save()
        assert Conversation.objects.count() == 3
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Room)
