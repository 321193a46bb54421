"""Made-up conversations: a valid log, the same for the same seed, like what the chat writes."""

from __future__ import annotations

import datetime as dt
import io
import json
import statistics
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import CommandError, call_command
from django.db import models
from django.test.utils import isolate_apps
from langchain_core.messages import AIMessage, HumanMessage

from tests.generating import bulk
from tests.generating.bulk import write
from tests.generating.plan import DAYS, Plan
from tests.generating.stage import fields_of, set_up
from tests.generating.turns import ai_document, human_document
from turnlog.core import codec
from turnlog.core.errors import TurnlogError
from turnlog.events import hooks
from turnlog.events.listed import MessageList
from turnlog.events.log import read
from turnlog.events.models import Actor, Content, Conversation, Event, Pending, Position
from turnlog.events.prompt import Prompt
from turnlog.events.store.sequence import sequence
from turnlog.events.tables.columns import EVENT_COLUMNS
from turnlog.events.tool_outputs import tool_outputs
from turnlog.events.types import (
    ConversationOpened,
    MessageAppended,
    ToolOutputRecorded,
    TurnFailed,
    TurnStarted,
)
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.models import ConversationMessage

pytestmark = pytest.mark.django_db

UNTIL = dt.datetime(2025, 11, 22, 12, tzinfo=dt.UTC)


def generate(
    events: int = 600, conversations: int = 6, seed: int = 1, until: dt.datetime = UNTIL
) -> list[int]:
    plan = Plan(events, conversations, seed)
    return list(write(plan.streams(set_up(plan.people), until)))


def command(**options: Any) -> str:
    out = io.StringIO()
    call_command("generate_events", **{"force": True, **options}, stdout=out)
    return out.getvalue()


def assert_nothing_is_wrong() -> None:
    # Both end with SystemExit where something is.
    for name in ("verify_log", "check_projections"):
        call_command(name, stdout=io.StringIO())


class Following:
    """An inline projection without SQL."""

    insert = ""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def follow(self, events: Any) -> None:
        self.events += events


class Breaking(Following):
    def follow(self, events: Any) -> None:
        if self.events:
            raise ValueError("the second batch breaks")
        super().follow(events)


def test_the_log_and_the_read_models_are_right() -> None:
    generate(3000, 30)
    assert Event.objects.count() == 3000
    assert Conversation.objects.count() == 30
    assert ConversationMessage.objects.exists()
    assert Event.objects.filter(type="ConversationCleared").exists()
    assert_nothing_is_wrong()


def test_a_clearing_hides_messages_that_are_in_the_log() -> None:
    generate(3000, 1)
    [cleared, *_] = Event.objects.filter(type="ConversationCleared").order_by("-version")
    assert Event.objects.filter(type="MessageAppended", version__lt=cleared.version).exists()
    assert not ConversationMessage.objects.filter(version__lt=cleared.version).exists()


def test_a_long_stream_is_written_in_slices_of_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "SLICE", 50)
    monkeypatch.setattr(bulk, "TRANSACTION", 200)
    assert sum(generate(2000, 3)) == 2000
    slices = Pending.objects.values_list("stream_id", "first", "last").order_by("id")
    assert len(slices) > 10 > Conversation.objects.count()
    assert_nothing_is_wrong()


def test_positions_are_left_to_the_sequencer() -> None:
    generate()
    assert not Position.objects.exists()
    assert Pending.objects.count() == 6
    assert sequence() == 600
    assert not Pending.objects.exists()
    assert_nothing_is_wrong()


def test_projections_without_sql_see_every_event_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    following = Following()
    monkeypatch.setattr(hooks, "inline_projections", [following])
    generate()
    stored = Event.objects.order_by("stream_id", "version").values_list("hash", flat=True)
    assert [event.hash for event in following.events] == [bytes(each) for each in stored]


def test_a_transaction_is_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TRANSACTION", 1)
    monkeypatch.setattr(hooks, "inline_projections", [Breaking()])
    with pytest.raises(ValueError, match="second batch"):
        generate()
    assert Conversation.objects.count() == 1
    assert Event.objects.count() == Plan(600, 6).sizes[0]


def test_a_generated_conversation_goes_on_like_any_other() -> None:
    generate()
    conversation = Conversation.objects.exclude(user=None).earliest("pk")
    head = Event.objects.filter(stream_id=conversation.pk).count()
    turn = conversation.start_turn("One more, please.", user=conversation.user)
    assert turn.event.version == head + 1
    conversation.record_turn(
        "One more, please.", AIMessage("Here."), user=conversation.user, turn_id=turn.turn_id
    )
    histories = ConversationMessage.objects.get_histories(conversation, conversation.user)
    assert histories[-1].content == "Here."
    assert_nothing_is_wrong()


COMPARED = [name for name in EVENT_COLUMNS if name not in ("stream_id", "hash")]


def rows(streams: Any) -> list[tuple[Any, ...]]:
    found = Event.objects.filter(stream_id__in=streams).order_by("stream_id", "version")
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in found.values_list(*COMPARED)
    ]


def test_the_same_seed_gives_the_same_log_up_to_primary_keys() -> None:
    generate()
    first = list(Conversation.objects.values_list("pk", flat=True))
    generate()
    second = Conversation.objects.exclude(pk__in=first)
    assert rows(first) == rows(second.values_list("pk", flat=True))
    told_apart = ("title", "owner_actor_id", "created_at")
    before = Conversation.objects.filter(pk__in=first).order_by("pk")
    assert list(before.values_list(*told_apart)) == list(
        second.order_by("pk").values_list(*told_apart)
    )
    assert_nothing_is_wrong()


def test_it_does_not_depend_on_how_it_is_cut_into_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generate()
    first = list(Conversation.objects.values_list("pk", flat=True))
    monkeypatch.setattr(bulk, "TRANSACTION", 1)
    monkeypatch.setattr(bulk, "SLICE", 20)
    generate()
    second = Conversation.objects.exclude(pk__in=first)
    assert rows(first) == rows(second.values_list("pk", flat=True))


def offered(seed: int = 1, until: dt.datetime = UNTIL) -> list[Any]:
    stage = set_up(2)
    return [
        (stream.conversation.title, stream.salts(32), until - batch.at, batch.events)
        for stream in Plan(600, 6, seed).streams(stage, until)
        for batch in stream.batches
    ]


def test_another_end_moves_the_times_along() -> None:
    assert offered() == offered(until=UNTIL + dt.timedelta(days=1, microseconds=7))


def test_another_seed_gives_another_log() -> None:
    assert offered(1) != offered(2)


def test_documents_are_what_the_codec_makes_of_messages() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    answer = AIMessage(
        "네",
        id="lc_run--1",
        usage_metadata=usage,
        response_metadata={"finish_reason": "stop", "model_name": "gpt-4o"},
    )
    for ours, message in (
        (human_document("안녕"), HumanMessage("안녕")),
        (ai_document("네", "lc_run--1", "gpt-4o", 3, 2), answer),
        (ai_document("부분"), AIMessage("부분")),
    ):
        # As text, for in the log the order counts as well.
        assert codec.to_json(ours) == codec.dumps(message)


def test_every_event_is_as_the_chat_would_have_written_it() -> None:
    generate(3000, 30)
    seen = Counter()
    for event in Event.objects.all():
        data = event.data
        seen[type(data)] += 1
        assert data is not None
        assert codec.to_json(data.payload()) == event.payload
        if isinstance(data, TurnStarted | MessageAppended):
            message = codec.decode(data.message)
            assert isinstance(message, HumanMessage | AIMessage)
            assert message.text
            assert codec.encode(message) == data.message
        if isinstance(data, ToolOutputRecorded):
            again = {**data.payload(), "input": codec.decode(data.input)}
            assert tool_outputs([{**again, "output": codec.decode(data.output)}]) == [data]
        if isinstance(data, TurnFailed) and data.produced["message"]:
            assert isinstance(codec.decode(data.produced["message"]), AIMessage)
    assert len(seen) == 6  # All but forks and erasures.


def test_a_turn_starts_with_what_a_real_one_says(conversation: Any) -> None:
    prompt = Prompt("gpt-4o", {"temperature": 1.0, "max_tokens": 9}, "Be kind.", [{"name": "f"}])
    real = conversation.start_turn("Hello", prompt=prompt).event
    generate()
    started = Event.objects.exclude(stream_id=conversation.pk).filter(type="TurnStarted")
    kept = set(Content.objects.values_list("sha256", flat=True))
    for event in started:
        data = event.data
        assert isinstance(data, TurnStarted)
        assert data.payload().keys() == real.data.payload().keys()
        assert data.parameters.keys() == prompt.parameters.keys()
        assert {data.system_prompt, data.tools} <= kept
        assert event.meta.keys() - {"initial"} == real.meta.keys()


def test_a_turn_says_what_its_model_was_given() -> None:
    generate(2000, 20)
    for pk in Conversation.objects.values_list("pk", flat=True):
        listed = MessageList()
        for event in read(pk):
            if isinstance(event.data, TurnStarted):
                mine = [entry for entry in listed.entries if entry.actor_id == event.actor_id]
                assert event.data.previous == HistoryRule().of_entries(mine).described()
            listed.apply(event)
    assert Event.objects.filter(type="ConversationCleared").exists()


def test_turns_are_whole_and_no_two_are_open_at_once() -> None:
    generate(3000, 30)
    open_turn = None
    for event in Event.objects.order_by("stream_id", "version"):
        if event.type == "TurnStarted":
            assert open_turn is None
            open_turn = event.turn_id
        elif event.turn_id is not None:
            assert event.turn_id == open_turn
            is_answer = event.type == "MessageAppended" and '"type":"ai"' in (event.payload or "")
            if is_answer or event.type == "TurnFailed":
                open_turn = None
    assert open_turn is None


def test_times_go_forward_and_end_before_the_last_moment() -> None:
    generate(3000, 30)
    times = Event.objects.order_by("stream_id", "version").values_list("stream_id", "recorded_at")
    last: dict[int, dt.datetime] = {}
    for stream_id, recorded_at in times:
        assert UNTIL - dt.timedelta(days=DAYS) <= recorded_at <= UNTIL
        assert last.get(stream_id, recorded_at) <= recorded_at
        last[stream_id] = recorded_at
    begun = Conversation.objects.order_by("pk").values_list("created_at", flat=True)
    opened = Event.objects.filter(version=1).order_by("stream_id")
    assert list(begun) == list(opened.values_list("recorded_at", flat=True))


def test_users_cannot_log_in_and_own_most_conversations() -> None:
    generate(600, 60)
    users = get_user_model().objects.filter(username__startswith="generated-")
    assert users.count() == 3
    assert users.filter(username="generated-001").exists()
    assert not any(user.has_usable_password() for user in users)
    owned = Conversation.objects.exclude(user=None)
    assert 40 < owned.count() < 60
    for conversation in owned:
        assert conversation.owner_actor_id == Actor.objects.id_of(conversation.user)
        opened = Event.objects.get(stream_id=conversation.pk, version=1).data
        assert isinstance(opened, ConversationOpened)
        assert opened == ConversationOpened(str(conversation.owner_actor_id), conversation.title)


@isolate_apps("tests.generating")
def test_any_user_model_will_do() -> None:
    class Member(AbstractBaseUser):
        email = models.EmailField(unique=True)
        nick = models.CharField(max_length=8)
        born = models.DateField()
        joined = models.DateTimeField()
        staff = models.BooleanField()
        number = models.IntegerField()
        credit = models.DecimalField(max_digits=5, decimal_places=2)
        card = models.UUIDField()
        language = models.CharField(max_length=2, default="ko")
        colour = models.CharField(max_length=1, choices=[("r", "red")])
        page = models.URLField()
        settings = models.JSONField()
        note = models.TextField(blank=True)
        seen = models.DateTimeField(auto_now=True)

        USERNAME_FIELD = "email"
        REQUIRED_FIELDS = [
            "nick",
            "born",
            "joined",
            "staff",
            "number",
            "credit",
            "card",
            "language",
        ]

        class Meta:
            app_label = "turnlog_generating"

    given = fields_of(Member, "generated-012")
    assert given["email"] == "generated-012@example.com"
    assert given["nick"] == "ated-012"
    assert given["language"] == "ko"
    assert given["colour"] == "r"
    assert not {"note", "seen", "password", "id"} & given.keys()
    member = Member(**given, password="!")
    member.full_clean(exclude=["last_login", "settings"], validate_unique=False)


def test_what_happens_is_what_happens_in_a_chat() -> None:
    generate(20_000, 200)
    types = Counter(Event.objects.values_list("type", flat=True))
    turns = types["TurnStarted"]
    assert 0.02 < types["TurnFailed"] / turns < 0.04
    assert 0.005 < types["ConversationCleared"] / turns < 0.02
    with_tools = Event.objects.filter(type="ToolOutputRecorded").values("turn_id").distinct()
    assert 0.12 < with_tools.count() / turns < 0.18
    models = set()
    outcomes = set()
    for event in Event.objects.filter(type__in=("TurnStarted", "TurnFailed")):
        models.add(getattr(event.data, "model", None))
        outcomes.add(getattr(event.data, "outcome", None))
    assert models == {"gpt-4o", "gpt-4o-mini", "gpt-4.1", None}
    assert outcomes == {"failed", "cancelled", "interrupted", None}


def test_a_million_events_are_mostly_short_conversations_and_a_few_very_long_ones() -> None:
    sizes = Plan(1_000_000).sizes
    assert sum(sizes) == 1_000_000
    assert len(sizes) == 10_000
    assert 40 < statistics.median(sizes) < 90
    assert sum(16 <= size <= 200 for size in sizes) > 8000
    assert 3 <= sum(size > 3000 for size in sizes) <= 30


@pytest.mark.parametrize(("events", "conversations"), [(4, 1), (5, 1), (6, 1), (7, 1), (43, 10)])
def test_the_number_of_events_is_exact(events: int, conversations: int) -> None:
    generate(events, conversations)
    assert Event.objects.count() == events
    assert_nothing_is_wrong()


def test_the_command_says_what_it_did() -> None:
    said = command(events=400, conversations=4)
    assert said.startswith("400 events in 4 conversations generated: ")
    assert said.rstrip().endswith("events a second")
    assert Event.objects.count() == 400
    assert_nothing_is_wrong()


def test_the_command_speaks_json() -> None:
    facts = json.loads(command(events=400, json=True))
    assert (facts["events"], facts["conversations"], facts["seed"]) == (400, 4, 1)
    assert facts["seconds"] > 0
    assert facts["events_per_second"] > 0


def test_the_command_refuses_where_debug_is_off(settings: Any) -> None:
    with pytest.raises(CommandError, match=r"never be deleted.*--force") as refused:
        command(events=400, force=False)
    assert refused.value.returncode == 2
    assert not Conversation.objects.exists()
    settings.DEBUG = True
    command(events=400, force=False)
    assert Event.objects.count() == 400


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"events": 0}, "--events must be 1 or more, found 0"),
        ({"events": -5}, "--events must be 1 or more, found -5"),
        ({"events": 10, "conversations": 0}, "--conversations must be 1 or more, found 0"),
        ({"events": 10, "conversations": 3}, "found 10 for 3"),
    ],
)
def test_bad_input_is_one_line(options: Any, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        command(**options)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)
    assert not Event.objects.exists()


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(TurnlogError, match="4 or more for each conversation"):
        Plan(3)
