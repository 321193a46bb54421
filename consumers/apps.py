from django.apps import AppConfig


class ConsumersConfig(AppConfig):
    name = "turnlog.consumers"
    label = "turnlog_consumers"
    verbose_name = "turnlog chat"
    default_auto_field = "django.db.models.BigAutoField"
