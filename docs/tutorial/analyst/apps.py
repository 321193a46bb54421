from django.apps import AppConfig


class AnalystConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "analyst"
