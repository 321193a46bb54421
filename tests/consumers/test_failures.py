from __future__ import annotations

import httpx
import openai
import pytest
from django.db import OperationalError
from django.utils import translation

from turnlog.consumers import failures
from turnlog.consumers.endings import Ending, NoAnswer
from turnlog.core.errors import CodecError, ConfigurationError

REQUEST = httpx.Request("POST", "http://localhost/v1/chat/completions")


def status(cls: type[openai.APIStatusError], code: int) -> openai.APIStatusError:
    return cls("no", response=httpx.Response(code, request=REQUEST), body=None)


CASES = {
    "configuration": ConfigurationError("x"),
    "credentials": status(openai.AuthenticationError, 401),
    "timeout": openai.APITimeoutError(REQUEST),
    "unreachable": openai.APIConnectionError(request=REQUEST),
    "busy": status(openai.RateLimitError, 429),
    "unknown_model": status(openai.NotFoundError, 404),
    "refused": status(openai.BadRequestError, 400),
    "unavailable": status(openai.InternalServerError, 500),
    "truncated": NoAnswer(Ending.TRUNCATED),
    "unstorable": CodecError("x"),
    "database": OperationalError("x"),
    "error": ValueError("x"),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_has_a_sentence_that_says_what_to_do(kind: str) -> None:
    described = failures.describe(CASES[kind])
    assert described["kind"] == kind
    english = failures.sentence(described)
    with translation.override("ko"):
        korean = failures.sentence(described)
    assert english.endswith(".")
    assert korean != english


def test_a_missing_key_is_told_from_other_trouble() -> None:
    assert failures.kind_of(openai.OpenAIError("The api_key must be set")) == "credentials"


def test_no_error_no_sentence() -> None:
    assert failures.sentence(None) == ""


def test_secrets_are_not_kept() -> None:
    error = ValueError("Incorrect API key provided: sk-proj-abc***xyz. Bearer abcdef123456")
    text = failures.describe(error)["text"]
    assert "abc" not in text
    assert "Incorrect API key" in text


@pytest.mark.parametrize(
    "secret",
    [
        "AIzaSyA1234567890abcdef",
        "gsk_1234567890abcdefgh",
        "api_key=hunter2",
        "postgres://u:hunter2@db/x",
        "password: hunter2",
    ],
)
def test_secrets_of_other_kinds_are_not_kept_either(secret: str) -> None:
    text = failures.describe(ValueError(f"cannot use {secret} here"))["text"]
    assert "hunter2" not in text
    assert "1234567890" not in text
    assert text.startswith("cannot use ")


def test_the_operators_line_says_where_and_never_what_was_said() -> None:
    try:
        raise ValueError("the person's own words")
    except ValueError as error:
        line = failures.where(error)
    assert line.startswith("ValueError at test_failures.py:")
    assert "words" not in line
