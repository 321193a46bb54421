from django.apps import AppConfig, apps
from django.core import checks
from django.db.models.signals import post_migrate, pre_delete


class EventsConfig(AppConfig):
    name = "turnlog.events"
    label = "turnlog_events"
    verbose_name = "turnlog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth import get_user_model

        from .append_only import check_triggers, install_after_migrate
        from .models import Conversation
        from .models.conversation import refuse_deletion, remember_owners

        # Sent with the proxy as sender where a proxy is deleted; and not without a sender, which
        # would cost every other model its fast deletion.
        for model in apps.get_models():
            if issubclass(model, Conversation):
                pre_delete.connect(refuse_deletion, sender=model)
            if issubclass(model, get_user_model()):
                pre_delete.connect(remember_owners, sender=model)
        post_migrate.connect(install_after_migrate, sender=self)
        checks.register(check_triggers, checks.Tags.database)
