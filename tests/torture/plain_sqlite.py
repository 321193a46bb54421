"""SQLite as Django sets it up by itself: no WAL, no other transaction mode, five seconds' wait."""

from tests.project.settings import *  # noqa: F403
from tests.project.settings import DATABASES

del DATABASES["default"]["OPTIONS"]
