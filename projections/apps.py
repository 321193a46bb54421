from django.apps import AppConfig


class ProjectionsConfig(AppConfig):
    name = "turnlog.projections"
    label = "turnlog_projections"
    verbose_name = "turnlog messages"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ..events import hooks
        from .registry import PROJECTIONS

        hooks.inline_projections.extend(PROJECTIONS.values())
