"""The tests' project with other settings: `TURNLOG_TEST_SETTINGS` has them, as JSON."""

import json
import os
from typing import Any

from tests.project.settings import *  # noqa: F403
from tests.project.settings import DATABASES, INSTALLED_APPS

_given: dict[str, Any] = json.loads(os.environ["TURNLOG_TEST_SETTINGS"])
_database = _given.pop("database", {})
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    **_database.pop("OPTIONS", {}),
}
DATABASES["default"].update(_database)
INSTALLED_APPS = [*INSTALLED_APPS, "tests.supported.people"]
SILENCED_SYSTEM_CHECKS = ["models.W042"]
globals().update(_given)
