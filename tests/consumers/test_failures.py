from __future__ import annotations

import sys
import threading
from typing import Any

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


@pytest.mark.parametrize(
    "secret", ["sk-hunter2-hunter2-hunter2", "postgres://u:hunter2-hunter2@db"]
)
def test_half_a_secret_where_a_text_is_cut_is_not_shown(secret: str) -> None:
    for before in range(failures._MASKED - len(secret), failures._MASKED):
        text = failures.text_of(ValueError(f"{' ' * before}{secret} {'word ' * 500}"))
        assert "hunter2" not in text
        assert len(text) > failures._LONGEST


class Spy:
    """Stands where secrets are looked for."""

    def __init__(self) -> None:
        self.longest = 0

    def sub(self, by: str, text: str) -> str:
        self.longest = max(self.longest, len(text))
        return text


def test_a_long_text_is_cut_before_anybody_looks_through_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spy = Spy()
    monkeypatch.setattr(failures, "_SECRET", spy)
    body = {"message": "word " * 1_000_000, "error": {"code": "context_length_exceeded"}}
    error = openai.BadRequestError(
        f"Error code: 400 - {body}", response=httpx.Response(400, request=REQUEST), body=body
    )
    described = failures.describe(error)
    assert (described["kind"], len(described["text"])) == ("too_long", failures._LONGEST)
    assert failures.told(error).startswith("BadRequestError: Error code: 400")
    assert spy.longest == failures._MASKED


def test_what_is_searched_for_a_cause_is_bounded() -> None:
    texts = failures._texts_in([["x" * 1_000_000] * 1_000, {"code": "rate_limit"}])
    assert "rate_limit" in texts
    texts += failures._texts_in([["x"] * 30] * 30)
    assert len(texts) < 2 * failures._MOST_VALUES
    assert max(map(len, texts)) == failures._SEARCHED


def test_a_group_that_holds_the_same_many_times_is_told_once() -> None:
    error: Exception = ValueError("within")
    for _ in range(10):
        error = ExceptionGroup("again", [error] * 5)
    said = failures.told(error)
    assert said.startswith("ExceptionGroup: again (5 sub-exceptions); ")
    assert said.count("ValueError: within") == 1


def test_a_group_of_groups_is_told_up_to_a_bound() -> None:
    deep: Exception = ValueError("within")
    for _ in range(5 * sys.getrecursionlimit()):
        deep = ExceptionGroup("deeper", [deep])
    wide = ExceptionGroup("all", [ExceptionGroup(f"{n}", [OSError(n)] * 2) for n in range(900)])
    for error in (deep, wide):
        assert 2 < failures.told(error).count(": ") <= failures._MOST_PARTS


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit(3)


class Hostile(Exception, metaclass=Nameless):
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise SystemExit(3)

    def _raise(self) -> Any:
        raise SystemExit(3)

    code = body = status_code = exceptions = property(_raise)
    __cause__ = __traceback__ = property(_raise)  # type: ignore[assignment]


async def test_an_error_that_raises_whatever_it_is_asked_is_described() -> None:
    assert failures.told(Hostile()) == "Hostile: "
    assert failures.where(Hostile()) == "Hostile"
    assert await failures.described(Hostile()) == {"type": "Hostile", "kind": "error", "text": ""}


async def test_an_error_that_does_not_end_its_sentence_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    class Endless(TimeoutError):
        def __str__(self) -> str:
            go_on.wait()
            return "at last"

    monkeypatch.setattr(failures, "_SECONDS", 0.05)
    try:
        told = await failures.described(Endless())
    finally:
        go_on.set()
    assert told == {"type": "Endless", "kind": "error", "text": ""}
