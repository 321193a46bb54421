from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.db.models.signals import post_migrate, pre_delete


class EventsConfig(AppConfig):
    name = "turnlog.events"
    label = "turnlog_events"
    verbose_name = "turnlog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .append_only import check_triggers, install_after_migrate

        connect_receivers(apps.get_models())
        post_migrate.connect(install_after_migrate, sender=self)
        checks.register(check_triggers, checks.Tags.database)


def connect_receivers(models: Iterable[Any]) -> None:
    """Hear of deletions of users and conversations, through proxies of them too.

    Not of every model's: a receiver without a sender would cost them all their fast deletion.
    """
    from django.contrib.auth import get_user_model

    from .models import Conversation
    from .models.conversation import refuse_deletion, remember_owners

    for model in models:
        if issubclass(model, Conversation):
            pre_delete.connect(refuse_deletion, sender=model)
        if issubclass(model, get_user_model()):
            pre_delete.connect(remember_owners, sender=model)
