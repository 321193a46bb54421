from django.apps import AppConfig
from django.core import checks

from .checks import check_database, check_one_database, check_settings, check_time_zones


class CoreConfig(AppConfig):
    name = "turnlog.core"
    label = "turnlog_core"
    verbose_name = "turnlog core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_settings)
        checks.register(check_time_zones)
        checks.register(check_one_database)
        checks.register(check_database, checks.Tags.database)
