from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core import checks
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_migrate, pre_delete, pre_migrate

from ..core.codec.blobs import use
from ..core.hurry import opened


class EventsConfig(AppConfig):
    name = "turnlog.events"
    label = "turnlog_events"
    verbose_name = "turnlog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # lazy: Django imports this module before models can be imported
        from . import fixtures
        from .blobs import load
        from .store import no_samples as statistics
        from .store.append_only import (
            check_triggers,
            install_after_migrate,
            make_way_for_migrations,
        )
        from .store.foreign import check_foreign
        from .store.isolation import check_isolation
        from .store.sqlite import wait_for_writers
        from .upcasters import check_upcasters

        connect_receivers(apps.get_models())
        use(load)
        fixtures.connect(self.get_models())
        connection_created.connect(wait_for_writers)
        connection_created.connect(opened)  # After it: a hurry goes before patience.
        pre_migrate.connect(make_way_for_migrations, sender=self)
        post_migrate.connect(install_after_migrate, sender=self)
        post_migrate.connect(statistics.after_migrate, sender=self)
        checks.register(check_triggers, checks.Tags.database)
        checks.register(check_foreign, checks.Tags.database)
        checks.register(check_isolation)
        checks.register(check_upcasters)


def connect_receivers(models: Iterable[Any]) -> None:
    """Hear of deletions of users and conversations, through proxies of them too.

    Not of every model's: a receiver without a sender would cost them all their fast deletion.
    """
    # lazy: as above
    from .erasure.forgetting import after_actor, before_actor, before_user
    from .models import Conversation, refuse_deletion
    from .tables.actor import Actor

    pre_delete.connect(before_actor, sender=Actor)
    post_delete.connect(after_actor, sender=Actor)

    for model in models:
        if issubclass(model, Conversation):
            pre_delete.connect(refuse_deletion, sender=model)
        if issubclass(model, get_user_model()):
            pre_delete.connect(before_user, sender=model)
