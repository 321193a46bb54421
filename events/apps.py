from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db.models.signals import post_migrate, pre_delete


class EventsConfig(AppConfig):
    name = "turnlog.events"
    label = "turnlog_events"
    verbose_name = "turnlog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .append_only import check_triggers, install_after_migrate
        from .models import Conversation
        from .models.conversation import refuse_deletion, remember_owners

        pre_delete.connect(refuse_deletion, sender=Conversation)
        pre_delete.connect(remember_owners, sender=settings.AUTH_USER_MODEL)
        post_migrate.connect(install_after_migrate, sender=self)
        checks.register(check_triggers, checks.Tags.database)
