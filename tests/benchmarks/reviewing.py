"""The review room on a million events: its pages against their own SQL and their own rendering.

What is measured is all that a page adds to these: the query's parser, access, who spoke, masking.
Pages that have nothing to show are not: Django takes its few milliseconds for them, and SQL next to
none.
"""

from __future__ import annotations

import functools
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Count
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from turnlog.consumers.review import answers, views
from turnlog.events.models import Conversation, Event
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker

from .rebuilding import measured
from .setting import answer, connect, human

TIMES = 31
TURNS = 500


def listing(user: Any) -> float:
    return _worst("", "?q=created:2026-01-01.. tokens:>100")


def searching(user: Any) -> float:
    return _worst("?q=refund", "?q=refund state:failed")


def reading(user: Any) -> float:
    return _worst(f"{_long(user)}/")


def sliding(user: Any) -> float:
    pk = _long(user)
    head = Event.objects.filter(stream_id=pk).count()
    return _worst(*(f"{pk}/?at={head * part // 4}" for part in range(1, 5)))


def _worst(*addresses: str) -> float:
    _projected()
    with override_settings(ROOT_URLCONF="tests.project.review_urls"):
        return max(map(_ratio, addresses))


def _ratio(address: str) -> float:
    """A page's time, of the time of its SQL and its rendering: medians of runs in turn."""
    act = _asking(address)
    act()  # The look is on record from here on, and is not recorded again.
    with CaptureQueriesContext(connection) as captured:
        act()
    statements = [
        re.sub(r'^DECLARE "\w+" .*? FOR (?=SELECT)', "", query["sql"], flags=re.DOTALL)
        for query in captured.captured_queries
    ]
    pairs = []
    with connect() as raw, raw.cursor() as cursor:
        for _ in range(TIMES):
            with _rendering() as rendered:
                whole = _timed(act)
            pairs.append((whole, _timed(lambda: _run(cursor, statements)) + sum(rendered)))
    return statistics.median(page for page, _ in pairs) / statistics.median(r for _, r in pairs)


def _asking(address: str) -> Callable[[], Any]:
    path, _, query = address.partition("?")
    pk = path.strip("/")
    request = RequestFactory().get("/review/", dict(_fields(query)))
    request.user = _reviewer()
    request.session = {}  # type: ignore[assignment]  # Nothing is revealed.

    def act() -> Any:
        response = views.conversation(request, int(pk)) if pk else views.conversations(request)
        assert response.status_code == 200
        return response

    return act


def _fields(query: str) -> Iterator[tuple[str, str]]:
    for field in filter(None, query.split("&")):
        name, _, value = field.partition("=")
        yield name, value


@contextmanager
def _rendering() -> Iterator[list[float]]:
    """Times what makes HTML: of Markdown, and of the template."""
    seconds: list[float] = []

    def timed(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - begin)

        return call

    with (
        mock.patch.object(answers, "render", timed(answers.render)),
        mock.patch.object(views, "items_of", timed(views.items_of)),
    ):
        yield seconds


def _run(cursor: Any, statements: list[str]) -> None:
    for statement in statements:
        cursor.execute(statement.encode())
        if cursor.description:
            cursor.fetchall()


def _timed(act: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


@functools.cache
def _reviewer() -> Any:
    reviewer = get_user_model().objects.create(username="reviewer")
    reviewer.user_permissions.add(Permission.objects.get(codename="review_conversation"))
    return reviewer


@functools.cache
def _projected() -> None:
    """A million events, and the rows that the worker makes of them."""
    measured()
    Worker(named(["overview", "search", "usage"])).catch_up()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert Event.objects.aggregate(n=Count("pk"))["n"] > 0


@functools.cache
def _long(user: Any) -> int:
    room = Conversation.objects.create(user=user)
    for _ in range(TURNS):
        room.record_turn(human(), answer(), user=user)
    return int(room.pk)
