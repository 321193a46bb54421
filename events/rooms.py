"""The tutorial's chat room as a base class."""

from __future__ import annotations

from typing import Any

from django.db import models
from django_lifecycle import BEFORE_CREATE, LifecycleModel, hook

from .models import Conversation
from .store.sqlite import begin_writing


class ConversationRoom(LifecycleModel):
    """An abstract model whose rows open a conversation of their own when first saved."""

    conversation_id: int | None
    conversation = models.OneToOneField(Conversation, on_delete=models.CASCADE)

    class Meta:
        abstract = True

    def get_conversation_owner(self) -> Any:
        """The user who shall own the conversation; None for a room that nobody owns."""
        return None

    @hook(BEFORE_CREATE)
    def open_conversation(self) -> None:
        """Open the conversation, unless one was given."""
        if self.conversation_id is None:
            begin_writing()  # Of the transaction that save() is.
            self.conversation = Conversation.objects.create(user=self.get_conversation_owner())
