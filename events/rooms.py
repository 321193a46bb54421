"""The tutorial's chat room as a base class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django_lifecycle import BEFORE_CREATE, LifecycleModel, hook

from .models import Conversation
from .store.sqlite import begin_writing


class ConversationRoom(LifecycleModel):
    """An abstract model whose rows open a conversation of their own when first saved."""

    if TYPE_CHECKING:
        # django-lifecycle's has no types.
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    conversation_id: int | None
    conversation = models.OneToOneField(Conversation, on_delete=models.CASCADE)

    class Meta:
        abstract = True

    def get_conversation_owner(self) -> Any:
        """The user who shall own the conversation; None for a room that nobody owns."""
        return None

    @hook(BEFORE_CREATE)  # type: ignore[untyped-decorator]  # django-lifecycle's has no types.
    def open_conversation(self) -> None:
        """Open the conversation, unless one was given."""
        if self.conversation_id is None:
            begin_writing()  # Of the transaction that save() is.
            self.conversation = Conversation.objects.create(user=self.get_conversation_owner())
