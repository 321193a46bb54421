"""What an admin page reads does not grow with the log: a tenth of a log costs as much as all."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from tests.generating.bulk import write
from tests.generating.plan import Plan
from tests.generating.stage import set_up
from tests.reading import Read, reading
from turnlog.core import admin as bounded
from turnlog.events.models import Conversation, Event
from turnlog.models import ConversationMessage
from turnlog.projections.models import SearchEntry, Usage

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

EVENTS = "/admin/turnlog_events/event/"
CONVERSATIONS = "/admin/turnlog_events/conversation/"
MESSAGES = "/admin/turnlog_projections/conversationmessage/"
SEARCH = "/admin/turnlog_projections/searchentry/"
USAGE = "/admin/turnlog_projections/usage/"

MOST = 200
"""What a list counts at most, in these tests."""


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST", MOST)


def grow(events: int, seed: int) -> None:
    for _ in write(Plan(events, seed=seed).streams(set_up(4), timezone.now())):
        pass
    call_command("run_projections", once=True, stdout=StringIO())
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def pages() -> list[str]:
    """Lists, filtered and searched, and a page of each kind of row."""
    first = Conversation.objects.order_by("pk")[0].pk
    event = Event.objects.order_by("pk")[0].pk
    message = ConversationMessage.objects.order_by("pk")[0]
    turn = message.turn_id
    utterance = SearchEntry.objects.order_by("pk")[0].pk
    usage = Usage.objects.order_by("pk")[0]
    return [
        *(EVENTS, f"{EVENTS}?p=3", f"{EVENTS}?type=HoldPlaced", f"{EVENTS}?type=TurnStarted"),
        *(f"{EVENTS}?stream_id={first}", f"{EVENTS}?stream_id={first}&type=TurnFailed"),
        *(f"{EVENTS}?q={first}", f"{EVENTS}?q={first}/2", f"{EVENTS}?q={first} {turn}"),
        *(f"{EVENTS}?q=latte", f"{EVENTS}?o=3", f"{EVENTS}{event}/change/"),
        *(CONVERSATIONS, f"{CONVERSATIONS}{first}/change/", f"{CONVERSATIONS}?o=-4"),
        *(MESSAGES, f"{MESSAGES}?q={first}", f"{MESSAGES}?q=generated-001", f"{MESSAGES}?q=latte"),
        *(f"{MESSAGES}?p=2", f"{MESSAGES}{message.pk}/change/", f"{MESSAGES}?o=-7"),
        *(SEARCH, f"{SEARCH}?q=zebrafish", f"{SEARCH}?q=zz", f"{SEARCH}{utterance}/change/"),
        *(USAGE, f"{USAGE}?q={first}", f"{USAGE}{usage.pk}/change/"),
    ]


def opened(client: Any, url: str) -> Read:
    """Open a page, and return what its queries read."""
    read = reading(lambda: client.get(url, follow=True))
    assert read.result.status_code == 200
    return read


def test_a_page_reads_as_much_of_a_large_log_as_of_a_small_one(admin_client: Any) -> None:
    grow(8_000, seed=1)
    urls = pages()
    small = {url: opened(admin_client, url) for url in urls}
    costs = {url: opened.cost for url, opened in small.items()}
    grow(16_000, seed=2)
    large = {url: opened(admin_client, url) for url in urls}
    assert {url: len(each.queries) for url, each in large.items() if len(each.queries) > 10} == {}
    # An index grows by a level, and a page may show longer rows. The usage is a sum for each
    # conversation and day: it is not the log, and its list sorts the rows of a day.
    logs = {url: each for url, each in large.items() if not url.startswith(USAGE)}
    worse = {url: (costs[url], each.cost) for url, each in logs.items()}
    assert {url: cost for url, cost in worse.items() if cost[1] > 1.5 * cost[0] + 300} == {}


def test_a_list_says_where_it_ends(admin_client: Any) -> None:
    grow(500, seed=1)
    assert "The list ends after 200 rows" in admin_client.get(f"{EVENTS}?p=4").content.decode()
    assert "The list ends" not in admin_client.get(EVENTS).content.decode()


def test_words_are_looked_for_among_the_utterances(admin_client: Any) -> None:
    grow(100, seed=1)
    for url in (EVENTS, MESSAGES):
        assert "search the utterances" in admin_client.get(f"{url}?q=latte").content.decode()


@pytest.mark.sqlite
def test_words_without_an_index_are_looked_for_among_the_last(admin_client: Any) -> None:
    grow(500, seed=1)
    assert "Only the last 200" in admin_client.get(f"{SEARCH}?q=zz").content.decode()
    assert "Only the last" not in admin_client.get(f"{SEARCH}?q=zzz").content.decode()
