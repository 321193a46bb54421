from django.apps import AppConfig
from django.core import checks


class ConsumersConfig(AppConfig):
    name = "turnlog.consumers"
    label = "turnlog_consumers"
    verbose_name = "turnlog chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # lazy: Django imports this module before models can be imported
        from ..events import hooks
        from .analysis.guarding import end_after
        from .answering.running import note_end
        from .checks import (
            check_asgi_application,
            check_eventstream,
            check_htmx,
            check_pictures,
            check_runserver,
        )
        from .live import announce
        from .sandbox.checks import check_sandbox
        from .socket.access import forget_person

        hooks.after_commit.add(note_end, announce, end_after)
        hooks.forgetters.add(forget_person)
        checks.register(check_htmx, checks.Tags.staticfiles)
        checks.register(check_asgi_application)
        checks.register(check_runserver)
        checks.register(check_eventstream)
        checks.register(check_sandbox, checks.Tags.security, deploy=True)
        checks.register(check_pictures, checks.Tags.urls)
