from django.db import models

from turnlog.events.models import Conversation


class Tally(models.Model):
    """How much was said in a conversation: sums, which tell an event applied twice or never."""

    conversation = models.OneToOneField(Conversation, on_delete=models.CASCADE)
    messages = models.IntegerField(default=0)
    letters = models.IntegerField(default=0)
