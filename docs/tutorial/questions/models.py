from django.db import models
from turnlog.models import Conversation


class DailyQuestions(models.Model):
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE)
    day = models.DateField()
    questions = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "day"], name="questions_of_a_day"),
        ]
