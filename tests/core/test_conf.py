from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from turnlog.core import conf
from turnlog.core.errors import ConfigurationError


def test_defaults(settings: Any) -> None:
    assert conf.get() == conf.Settings()
    settings.TURNLOG = {"MAX_MESSAGE_LENGTH": 10, "ALLOWED_ORIGINS": ["https://a.example"]}
    assert conf.get().max_message_length == 10
    assert conf.get().allowed_origins == ("https://a.example",)
    assert conf.get().history_turns == conf.Settings().history_turns


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "must be a dictionary, found list"),
        ({"MAX_LENGHT": 1}, "unknown key 'MAX_LENGHT'; known keys: MAX_MESSAGE_LENGTH"),
        ({"MAX_MESSAGE_LENGTH": "1"}, "must be a number above 0, found '1'"),
        ({"MAX_MESSAGE_LENGTH": 0}, "must be a number above 0"),
        ({"MAX_MESSAGE_LENGTH": True}, "must be a number above 0"),
        ({"HISTORY_TURNS": 1.5}, "must be a whole number"),
        ({"ALLOWED_ORIGINS": "https://a.example"}, "must be a list of strings"),
        ({"ALLOWED_ORIGINS": 7}, "must be a list of strings"),
        ({"ALLOWED_ORIGINS": ["a.example"]}, "must list origins such as 'https://chat"),
        ({"ALLOWED_ORIGINS": ["https://a.example/"]}, "found 'https://a.example/'"),
        ({"ALLOWED_ORIGINS": ["https://*"]}, "found 'https://*'"),
    ],
)
def test_what_is_wrong_is_said_by_a_check_and_by_an_error(
    settings: Any, value: Any, sentence: str
) -> None:
    settings.TURNLOG = value
    [error] = [message for message in run_checks() if message.id == "turnlog.E001"]
    assert sentence in error.msg
    with pytest.raises(ConfigurationError, match="TURNLOG"):
        conf.get()


@pytest.mark.parametrize("key", conf.FUNCTIONS)
@pytest.mark.parametrize(
    "path", ["nowhere.at_all", "tests.supported.schemas.nothing", "plain", "os.sep"]
)
def test_a_function_that_is_not_there_is_said_by_a_check(
    settings: Any, key: str, path: str
) -> None:
    settings.TURNLOG = {key: path}
    [error] = [message for message in run_checks() if message.id == "turnlog.E001"]
    assert f"expected TURNLOG['{key}'] to name a function, found '{path}'" in error.msg


def test_what_is_put_around_database_work_is_a_context_manager(settings: Any) -> None:
    settings.TURNLOG = {"AROUND_DATABASE": "os.getcwd"}
    with pytest.raises(ConfigurationError, match="to return a context manager, found '/"):
        conf.around_database()


def test_a_database_that_is_not_supported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connections

    from turnlog.core.checks import check_database

    assert check_database(None, databases=["default"]) == []
    monkeypatch.setattr(type(connections["default"]), "vendor", "oracle")
    [error] = check_database(None, databases=["default"])
    assert "PostgreSQL or SQLite, but database 'default' is oracle" in error.msg


@pytest.mark.parametrize("ours", [("turnlog_events", "turnlog_projections"), ("turnlog_events",)])
def test_users_in_another_database_than_the_log_are_an_error(
    settings: Any, ours: tuple[str, ...]
) -> None:
    from tests.second_database import LogRouter
    from turnlog.core.checks import check_one_database

    assert check_one_database(None) == []
    router = LogRouter()
    router.apps = ours
    settings.DATABASE_ROUTERS = [router]
    [error] = check_one_database(None)
    assert error.id == "turnlog.E007"
    assert "'default' for auth.User" in error.msg
    assert "'log' for turnlog_events." in error.msg
    assert [message.id for message in run_checks() if message.id == "turnlog.E007"]
