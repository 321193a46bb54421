from pathlib import Path

from django.apps import AppConfig, apps
from django.conf import settings


class ConsumersConfig(AppConfig):
    name = "turnlog.consumers"
    label = "turnlog_consumers"
    verbose_name = "turnlog chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ..events import hooks
        from .live import announce

        hooks.after_commit.append(announce)
        _find_htmx()


def _find_htmx() -> None:
    """Let staticfiles find the htmx that the django-htmx package brings.

    Its files belong to an app that a project need not know of.
    """
    if apps.is_installed("django_htmx"):
        return
    import django_htmx

    folder = Path(django_htmx.__file__).parent / "static" / "django_htmx"
    settings.STATICFILES_DIRS = [*settings.STATICFILES_DIRS, ("django_htmx", str(folder))]
