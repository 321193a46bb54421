from django.db.models import F
from turnlog.projections import Projection, register

from .models import DailyQuestions


@register
class QuestionsProjection(Projection):
    name = "questions"
    handles = ("MessageAppended",)
    model = DailyQuestions
    erase = Projection.apply_again

    def apply(self, events):
        for event in events:
            message = event.data.message
            if message["_type"] == "HumanMessage" and "origin" not in event.meta:
                row, __ = DailyQuestions.objects.get_or_create(
                    conversation_id=event.stream_id, day=event.recorded_at.date()
                )
                DailyQuestions.objects.filter(pk=row.pk).update(questions=F("questions") + 1)
