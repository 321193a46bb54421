"""The tutorial's settings, as the tests of the site's door want them, by environment variables."""

import os

from mysite.settings import *  # noqa: F403
from mysite.settings import INSTALLED_APPS, MIDDLEWARE

DEBUG = os.environ.get("DOOR_DEBUG") == "1"
FORCE_SCRIPT_NAME = os.environ.get("DOOR_SCRIPT_NAME")
ROOT_URLCONF = "door_urls"
ASGI_APPLICATION = "door.application"
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != os.environ.get("DOOR_WITHOUT_APP")]
TURNLOG = {"HISTORY_TURNS": int(os.environ.get("DOOR_HISTORY", "50"))}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"turnlog": {"handlers": ["console"], "level": "INFO"}},
}

if "DOOR_STATIC_ROOT" in os.environ:
    STATIC_ROOT = os.environ["DOOR_STATIC_ROOT"]
    STATIC_URL = os.environ["DOOR_STATIC_URL"]
    STORAGES = {"staticfiles": {"BACKEND": os.environ["DOOR_STORAGE"]}}
    WHITENOISE_KEEP_ONLY_HASHED_FILES = True
    MIDDLEWARE = [
        "whitenoise.middleware.WhiteNoiseMiddleware",
        *MIDDLEWARE,
        "door_urls.allow_another_origins_files",
    ]
