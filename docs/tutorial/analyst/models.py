from django.conf import settings
from django.db import models
from turnlog.events.rooms import ConversationRoom


class AnalystRoom(ConversationRoom):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    def get_conversation_owner(self):
        return self.user
