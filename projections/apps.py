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
        # lazy: Django imports this module before models can be imported
        from ..events import fixtures, hooks
        from .accesses import projection as _accesses  # noqa: F401 - registers itself
        from .engine import erasers, wake
        from .engine.registry import check_projections
        from .engine.versions import check_versions
        from .messages import projection as _messages  # noqa: F401
        from .overview import projection as _overview  # noqa: F401
        from .queues import projection as _queues  # noqa: F401
        from .reviews import projection as _reviews  # noqa: F401
        from .search import projection as _search  # noqa: F401
        from .usage import projection as _usage  # noqa: F401
        from .views import projection as _views  # noqa: F401

        autodiscover_modules("projections")
        hooks.after_commit.add(wake.tell_workers)
        hooks.erasers.add(erasers.erase)
        hooks.finishers.add(erasers.finish)
        hooks.forgetters.add(erasers.forget)
        fixtures.connect(self.get_models())
        checks.register(check_projections)
        checks.register(check_versions, checks.Tags.database)
        post_migrate.connect(_after_migrate, sender=self)


def _after_migrate(*, using: str, **kwargs: Any) -> None:
    # lazy: as above
    from .engine.no_samples import keep_no_samples
    from .engine.versions import note_versions
    from .search.index import install
    from .search.model import SearchEntry

    note_versions(using)
    connection = connections[using]
    if SearchEntry._meta.db_table in connection.introspection.table_names():
        install(connection)  # SQLite loses the triggers when Django remakes the table.
        keep_no_samples(connection)
