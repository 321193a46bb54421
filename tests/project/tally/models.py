from django.db import models

from turnlog.events.models import Conversation


class Tally(models.Model):
    """How much was said in a conversation: sums, which tell an event applied twice or never."""

    conversation = models.OneToOneField(Conversation, on_delete=models.CASCADE)
    messages = models.IntegerField(default=0)
    letters = models.IntegerField(default=0)


class Line(models.Model):
    """A message's document, copied by Python."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, db_index=False)
    version = models.IntegerField()
    turn_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    content = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("conversation", "version"), name="tally_line_version"),
        )
