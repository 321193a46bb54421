"""Routers: a replica decides nothing, and the log and its users may be in any one database."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage

from tests.second_database import another_database, log_in, migrate
from turnlog.consumers.mixins.chat import find_conversation
from turnlog.events.models import Actor, Conversation
from turnlog.events.prompt import Prompt
from turnlog.models import ConversationMessage
from turnlog.projections.models import SearchEntry, Usage
from turnlog.projections.transcript import read_transcript
from turnlog.projections.travel.moments import as_of
from turnlog.projections.travel.prompts import prompt_of

pytestmark = pytest.mark.django_db(transaction=True)


class ReadReplica:
    """As Django's documentation shows it: reads go to a replica, which is behind."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return True


@pytest.fixture
def replica(tmp_path: Path, user: Any, settings: Any) -> Iterator[Any]:
    """A replica that has nothing of what is written; and what is read there."""
    with another_database("replica", tmp_path) as alias:
        migrate(alias)
        settings.DATABASE_ROUTERS = [ReadReplica()]
        with CaptureQueriesContext(connections[alias]) as captured:
            yield captured
        settings.DATABASE_ROUTERS = []


def test_nothing_that_decides_is_read_from_a_replica(replica: Any, user: Any) -> None:
    conversation = Conversation.objects.create(user=user, title="Coffee")
    turn = conversation.start_turn(
        "a latte", user=user, prompt=Prompt(system_prompt="kind", previous={"messages": []})
    )
    conversation.record_turn("a latte", AIMessage("here"), user=user, turn_id=turn.turn_id)
    found = find_conversation(str(conversation.pk))
    assert found is not None
    assert found.is_open_to(user)
    histories = ConversationMessage.objects.get_histories(conversation, user)
    assert [message.content for message in histories] == ["a latte", "here"]
    assert len(read_transcript(conversation.pk, user, limit=5).turns) == 1
    assert len(as_of(conversation).of(user).messages) == 2
    assert prompt_of(conversation.pk, 4).system_prompt == "kind"
    fork = conversation.fork(user=user)
    conversation.hold(by=user, reason="case 1")
    conversation.lift_hold(by=user, reason="settled")
    conversation.erase(by=user, reason="request 1")
    assert len(as_of(fork).messages) == 0
    for command in ("run_projections --once", "check_projections", "verify_log"):
        call_command(*command.split(), stdout=StringIO())
    call_command("replay_conversation", conversation.pk, stdout=StringIO())
    call_command("rebuild_projections", stdout=StringIO())
    reads = [each["sql"] for each in replica.captured_queries if "turnlog_" in each["sql"]]
    assert reads == []


def test_what_only_shows_may_be_read_from_a_replica(replica: Any) -> None:
    assert list(SearchEntry.objects.search("latte")) == []
    assert Usage.objects.totals()["turns"] == 0
    assert list(ConversationMessage.objects.all()) == []
    read = " ".join(each["sql"] for each in replica.captured_queries)
    assert all(table in read for table in ("turnlog_search", "turnlog_usage", "turnlog_message"))


def test_a_pseudonym_that_was_rolled_back_is_not_kept(replica: Any, user: Any) -> None:
    with transaction.atomic():
        lost = Actor.objects.id_of(user)
        transaction.set_rollback(True)
    kept = Actor.objects.id_of(user)
    assert kept != lost
    assert Actor.objects.using("default").get().pk == kept


def test_log_and_users_may_be_in_another_database_than_the_rest(tmp_path: Path) -> None:
    with another_database("people", tmp_path) as alias:
        migrate(alias)
        with log_in(alias, everything=True):
            user = get_user_model().objects.create_user("ada")
            conversation = Conversation.objects.create(user=user)
            conversation.record_turn("a latte", AIMessage("here"), user=user)
            call_command("run_projections", once=True, stdout=StringIO())
            call_command("check_projections", stdout=StringIO())
            assert SearchEntry.objects.search("latte").count() == 1
            user.delete()
            call_command("verify_log", stdout=StringIO())
        assert Conversation.objects.using(alias).count() == 1
        assert not Conversation.objects.using("default").exists()
