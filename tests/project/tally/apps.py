import os

from django.apps import AppConfig


class TallyConfig(AppConfig):
    name = "tests.project.tally"

    def ready(self) -> None:
        """Smaller chunks for the processes of a test that asks for them."""
        if streams := os.environ.get("TURNLOG_TEST_STREAMS"):
            from turnlog.projections.engine import chunks as rebuild

            rebuild.STREAMS = int(streams)
        if batch := os.environ.get("TURNLOG_TEST_BATCH"):
            from turnlog.projections.engine import worker

            worker.BATCH = int(batch)
