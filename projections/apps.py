from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class ProjectionsConfig(AppConfig):
    name = "turnlog.projections"
    label = "turnlog_projections"
    verbose_name = "turnlog messages"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ..events import hooks
        from . import erasing, messages, search, usage, wake  # noqa: F401 - they register themselves
        from .checkpoints import check_versions
        from .registry import check_projections

        autodiscover_modules("projections")
        hooks.after_commit.append(wake.tell_workers)
        hooks.erasers.append(erasing.erase)
        hooks.forgetters.append(erasing.forget)
        checks.register(check_projections)
        checks.register(check_versions)
        post_migrate.connect(_after_migrate, sender=self)


def _after_migrate(*, using: str, **kwargs: Any) -> None:
    from .checkpoints import note_versions
    from .models import SearchEntry
    from .search_index import install
    from .statistics import keep_no_samples

    note_versions(using)
    connection = connections[using]
    if SearchEntry._meta.db_table in connection.introspection.table_names():
        install(connection)  # SQLite loses it when the table is remade.
        keep_no_samples(connection)
