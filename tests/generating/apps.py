from django.apps import AppConfig


class GeneratingConfig(AppConfig):
    name = "tests.generating"
    label = "turnlog_generating"
