"""Streams do not stop one another: of the deactivated, those whose rule raises, or the fast."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from tests.consumers.stream_client import address, cookie_of, following
from turnlog.consumers.socket import limits
from turnlog.consumers.stream import following as streams
from turnlog.consumers.stream import opening, rounds, waking
from turnlog.core.asynchronous import in_database_thread
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.project.review_urls"),
]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (rounds, "SECONDS", 0.05),
        (rounds, "LIST_SECONDS", 0.05),
        (streams, "PAUSE", 0.0),
        (streams, "KEEP_ALIVE", 0.2),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def another(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("bob")


class OpenManager:
    """Of a project: guests may read, until its rule raises."""

    raises: Exception | None = None

    def get_channels_for_request(self, request: Any, view_kwargs: Any) -> set[str]:
        return set(request.GET.getlist("channel"))

    def can_read_channel(self, user: Any, channel: str) -> bool:
        if self.raises is not None:
            raise self.raises
        return True

    def is_channel_reliable(self, channel: str) -> bool:
        return False


@pytest.fixture
def rule(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.EVENTSTREAM_CHANNELMANAGER_CLASS = "turnlog.consumers.stream.manager.LogChannelManager"
    settings.TURNLOG = {"EVENTSTREAM_CHANNELMANAGER": f"{__name__}.OpenManager"}

    def rule(error: Exception) -> None:
        monkeypatch.setattr(OpenManager, "raises", error)

    return rule


@sync_to_async
def deactivate(user: Any) -> None:
    type(user).objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.usefixtures("rule")
async def test_a_deactivated_persons_stream_is_a_guests_and_stops_nobodys(
    conversation: Any, user: Any, another: Any
) -> None:
    cookie = await cookie_of(another)
    await deactivate(another)
    async with (
        following(cookie, address("news")) as theirs,
        following(await cookie_of(user), address(conversation)) as source,
    ):
        await theirs.kind("stream-open")
        await source.kind("stream-open")
        assert {(each.user, each.session_key) for each in waking.streams if not each.ours} == {
            (None, None)
        }
        await deactivate(user)
        await source.kind("stream-error")
        await theirs.kind("keep-alive", 2)
        assert not theirs.of("stream-error")


async def test_a_stream_whose_own_look_raises_ends_alone(
    conversation: Any, user: Any, rule: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        following("", address("news")) as theirs,
        following(await cookie_of(user), address(conversation)) as source,
    ):
        await theirs.kind("stream-open")
        await source.kind("stream-open")
        with caplog.at_level(logging.WARNING, "turnlog"):
            rule(ValueError("secret"))
            await theirs.kind("stream-error")
            await theirs.end()
        assert "a stream cannot be looked after: ValueError" in caplog.text
        assert "secret" not in caplog.text
        await source.kind("keep-alive", 2)
        await deactivate(user)
        await source.kind("stream-error")


async def test_a_stream_waits_while_its_rules_database_is_away_and_the_others_do_not(
    conversation: Any, user: Any, rule: Any
) -> None:
    async with (
        following("", address("news")) as theirs,
        following(await cookie_of(user), address(conversation)) as source,
    ):
        await theirs.kind("stream-open")
        await source.kind("stream-open")
        rule(OperationalError("the connection is closed"))
        await deactivate(user)
        await source.kind("stream-error")
        assert not theirs.of("stream-error")
        assert not theirs.ended


def not_bob(user: Any, conversation: Any) -> bool:
    if user.username == "bob":
        raise ValueError("bob")
    return bool(conversation.user_id == user.pk)


async def test_a_rule_that_raises_for_one_person_keeps_no_list_from_the_others(
    conversation: Any, user: Any, another: Any, settings: Any
) -> None:
    settings.TURNLOG = {"CAN_REVIEW": f"{__name__}.not_bob"}
    catch_up = in_database_thread(lambda: Worker(named(["overview"])).catch_up())
    await catch_up()
    query = address("turnlog-list", form="versions")
    async with (
        following(await cookie_of(another), query) as theirs,
        following(await cookie_of(user), query) as source,
    ):
        await theirs.kind("stream-open")
        await source.kind("stream-open")
        await asyncio.sleep(0.3)  # Their first looks are over.
        await in_database_thread(conversation.record_turn)("hello", "hi", user=user)
        await catch_up()
        await source.kind("list")


async def test_a_person_who_was_fast_over_http_may_follow(conversation: Any, user: Any) -> None:
    cookie = await cookie_of(user)
    share = limits.enter({"user": user, "client": None})
    try:
        for _ in range(30):
            await share.pace.wait()
        assert share.pace.tired > 0
    finally:
        share.leave()
    async with following(cookie, address(conversation)) as source:
        await source.kind("stream-open")
        assert source.status == 200


async def test_what_each_may_have_is_touched_on_the_event_loop_only(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = limits._person_in

    def on_the_loop(scope: Any) -> Any:
        asyncio.get_running_loop()
        return found(scope)

    monkeypatch.setattr(limits, "_person_in", on_the_loop)
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")


async def test_one_who_may_open_no_more_is_told_and_nothing_is_kept(
    user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_SOCKETS_PER_USER": 1}
    scope = {"user": user, "client": None}
    share = limits.enter(scope)
    with pytest.raises(opening.Refused) as refused:
        opening.require_room(scope)
    assert refused.value.status == 429
    share.leave()
    opening.require_room(scope)
    assert not limits._shares
