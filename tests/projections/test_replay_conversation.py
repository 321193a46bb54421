"""A conversation in the terminal: all that happened, at its pace, and nothing that drives it."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import uuid
from io import BytesIO, StringIO, TextIOWrapper
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from turnlog.core import codec
from turnlog.core.terminal import safe
from turnlog.events import attempt
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Actor, Event
from turnlog.events.prompt import Prompt
from turnlog.events.types import MessageAppended
from turnlog.projections.management.commands.replay_conversation import Command
from turnlog.projections.travel.moments import as_of
from turnlog.projections.travel.replaying import Teller

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Played(SimpleNamespace):
    """A command that waits for nothing, and what it would have waited for."""

    def __init__(self, *arguments: Any, out: Any = None, **options: Any) -> None:
        super().__init__(waits=[], enters=0)
        self.command = Command()
        self.command.wait = options.pop("wait", self.waits.append)
        self.command.wait_for_enter = options.pop("wait_for_enter", self.enter)
        self.out = out or StringIO()
        call_command(self.command, *map(str, arguments), stdout=self.out, **options)
        self.text = self.out.getvalue()

    def enter(self) -> None:
        self.enters += 1


def told(*arguments: Any, **options: Any) -> list[str]:
    """Who and what of each line, without versions and times."""
    lines = Played(*arguments, **options).text.splitlines()
    return [re.sub(r"^ *\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in lines]


START = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def clock(monkeypatch: Any) -> Any:
    """The log's clock."""
    clock = SimpleNamespace(now=START)
    monkeypatch.setattr(attempt, "timezone", SimpleNamespace(now=lambda: clock.now))
    return clock


@pytest.fixture
def coffee(conversation: Any, user: Any, clock: Any) -> Any:
    def later(seconds: float) -> None:
        clock.now += dt.timedelta(seconds=seconds)

    turn = conversation.start_turn("a latte", user=user)  # 1 opened, 2
    later(1.5)
    tool = {"tool": "stock", "input": {"of": "milk"}, "output": ["oat", 2], "status": "ok"}
    conversation.record_turn("a latte", AIMessage("here"), [tool], user=user, turn_id=turn.turn_id)
    later(60)
    conversation.clear(by=user, reason="next guest")  # 6
    later(10)
    turn = conversation.start_turn("a tea\nwith lemon", user=user)  # 7
    later(2)
    conversation.fail_turn(  # 8
        turn.turn_id,
        "failed",
        error={"type": "ModelError", "text": "no water"},
        ai_message=AIMessage("one mo"),
        tools_output_list=[{"tool": "kettle", "output": "empty", "status": "error"}],
    )
    return conversation


def test_everything_is_told_in_order_and_once(coffee: Any) -> None:
    assert told(coffee.pk) == [
        "opened  Ordering coffee",
        "human ada  a latte",
        'tool  stock({"of":"milk"}) -> ["oat",2]',
        "ai  here",
        "cleared by ada  next guest",
        "human ada  a tea",
        "    with lemon",
        "tool  kettle() -> empty",
        "ai  one mo",
        "turn  failed: ModelError: no water",
        f"conversation {coffee.pk} at version 8 of its log",
    ]


def test_a_line_has_version_and_time(coffee: Any) -> None:
    line = Played(coffee.pk, "--version", 2).text.splitlines()[1]
    when = timezone.localtime(START).strftime("%Y-%m-%d %H:%M:%S")
    assert line == f"   2  {when}  human ada  a latte"


def test_it_goes_as_far_as_it_is_told_to(coffee: Any) -> None:
    assert told(coffee.pk, "--version", 2)[1:] == [
        "human ada  a latte",
        f"conversation {coffee.pk} at version 2 of its log",
    ]
    at = START + dt.timedelta(seconds=61)
    by_time = told(coffee.pk, "--at", at.isoformat())
    assert by_time == told(coffee.pk, "--version", as_of(coffee, at=at).version)
    assert by_time[-1] == f"conversation {coffee.pk} at version 5 of its log"
    assert told(coffee.pk, "--at", "2026-11-22T21:01:01+09:00") == by_time


def test_other_words_than_those_the_turn_was_started_with_are_told(coffee: Any, user: Any) -> None:
    turn = coffee.start_turn("a cake", user=user)
    coffee.record_turn("a big cake", AIMessage("yes"), user=user, turn_id=turn.turn_id)
    assert told(coffee.pk)[-4:-1] == ["human ada  a cake", "human ada  a big cake", "ai  yes"]


def test_an_answer_that_came_after_the_failure_does_not_repeat_the_question(
    coffee: Any, user: Any
) -> None:
    failed = room_turns(coffee)[-1]
    coffee.record_turn("a tea\nwith lemon", AIMessage("late"), user=user, turn_id=failed)
    assert told(coffee.pk)[-3:-1] == ["turn  failed: ModelError: no water", "ai  late"]


def room_turns(room: Any) -> list[Any]:
    started = Event.objects.filter(stream_id=room.pk, type="TurnStarted").order_by("version")
    return list(started.values_list("turn_id", flat=True))


def test_forks_and_erasures_are_told(coffee: Any) -> None:
    fork = coffee.fork(5)
    assert told(fork.pk)[1:3] == [
        f"forked  from conversation {coffee.pk} at version 5",
        "human ada  a latte",
    ]
    coffee.erase([room_turns(coffee)[0]], reason="request 7\x1b")
    at = timezone.localtime(Event.objects.filter(type="PayloadErased").first().recorded_at)
    gone = f"(erased on {at:%Y-%m-%d} for request 7\\x1b)"
    lines = told(coffee.pk)
    assert lines[1:5] == [f"human ada  {gone}", *lines[2:4], f"message  {gone}"]
    assert sorted(lines[2:4]) == [f"message  {gone}", f"tool  {gone}"]
    assert lines[-2] == "erased  versions 2, 3, 4, 5: request 7\\x1b"
    # Also at the moment before it was erased.
    assert told(coffee.pk, version=4)[1] == f"human ada  {gone}"
    [first, *_] = [e for e in played_events(coffee.pk) if e["payload"] is None]
    assert first["erased"] == {
        "at": at.astimezone(dt.UTC).isoformat(),
        "by": None,
        "reason": "request 7\x1b",
    }


def played_events(pk: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(Played(pk, json=True).text)["events"]
    return events


def test_holds_are_told(coffee: Any) -> None:
    coffee.hold(reason="case 12")
    coffee.lift_hold(reason="settled")
    assert told(coffee.pk)[-3:-1] == ["held  case 12", "hold lifted  settled"]


def test_messages_of_every_kind(conversation: Any, user: Any) -> None:
    picture = [{"type": "text", "text": "see "}, {"type": "image_url", "image_url": {"url": "x"}}]
    call = {"name": "stock", "args": {"of": "milk"}, "id": "1"}
    for message in (
        SystemMessage("be kind"),
        HumanMessage(picture),
        AIMessage("", tool_calls=[call]),
        AIMessage(""),
    ):
        append(conversation.pk, [NewEvent(MessageAppended(codec.encode(message)))])
    future = {"_type": "FutureMessage", "_value": {}}
    append(conversation.pk, [NewEvent(MessageAppended(future))])
    append(conversation.pk, [NewEvent(MessageAppended("no message"))])
    assert told(conversation.pk)[1:-1] == [
        "system  be kind",
        "human guest  see [image_url]",
        "ai  calls stock({'of': 'milk'})",
        "ai",
        'message  {"_type":"FutureMessage","_value":{}}',
        "message  no message",
    ]


def test_an_event_of_a_newer_turnlog_is_told_as_it_stands(conversation: Any) -> None:
    event = Event(version=1, type="Rated", schema=3, payload='{"stars":5}', recorded_at=START)
    [line] = Teller().lines(event)
    assert (line.who, line.text) == ("Rated", '{"stars":5}')


HOSTILE = {
    "cursor": ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
    "title": ("\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07"),
    "clipboard": ("\x1b]52;c;cm0gLXJm\x1b\\", "\\x1b]52;c;cm0gLXJm\\x1b\\"),
    "8 bits": ("\x9b31m", "\\x9b31m"),
    "overwriting": ("paid\rfree\bx", "paid\\x0dfree\\x08x"),
    "delete and NUL": ("\x7f\x00", "\\x7f\\x00"),
    "direction": ("\u202eevil\u2066", "\\u202eevil\\u2066"),
    "lines": ("a\u2028b\x85c\x0bd\x0ce", "a\\u2028b\\x85c\\x0bd\\x0ce"),
    "surrogate": ("\ud800", "\\ud800"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_people_write_cannot_drive_the_terminal(
    conversation: Any, user: Any, what: str
) -> None:
    text, shown = HOSTILE[what]
    tool = {"tool": f"t{text}", "input": text, "output": {"a": text}, "status": "error"}
    turn = conversation.start_turn(text, user=user)
    conversation.record_turn(text, AIMessage(text), [tool], user=user, turn_id=turn.turn_id)
    conversation.clear(reason=codec.to_json(text) if what == "surrogate" else text)
    turn = conversation.start_turn("?", user=user)
    conversation.fail_turn(turn.turn_id, error={"type": text, "text": text})
    for options in ({}, {"json": True}):
        out = Played(conversation.pk, out=Terminal(), no_color=True, **options).text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066\ud800]", out)
    assert f"human ada  {shown}" in "\n".join(told(conversation.pk))


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_is_written_can_be_printed(text: str) -> None:
    shown = safe(text)
    shown.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", shown)


def test_ordinary_text_is_left_alone() -> None:
    text = "안녕 👩‍🚀 naïve – «שלום»\nnext"
    assert safe(text) == text
    assert safe("a\r\nb\tc") == "a\nb   c"


def test_what_the_terminals_encoding_lacks_is_shown_by_its_number(
    conversation: Any, user: Any
) -> None:
    conversation.record_turn("안", AIMessage("é"), user=user)
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding="latin-1", write_through=True)
    out.getvalue = raw.getvalue  # type: ignore[attr-defined]
    text = Played(conversation.pk, out=out).text.decode("latin-1")
    assert "human ada  \\uc548" in text
    assert "ai  é" in text


# Pace


@pytest.mark.parametrize(("arguments", "speed"), [((), 1.0), (("--speed", "10"), 10.0)])
def test_on_a_terminal_it_goes_at_the_original_pace(
    coffee: Any, arguments: tuple[str, ...], speed: float
) -> None:
    played = Played(coffee.pk, *arguments, out=Terminal(), no_color=True)
    assert played.waits == [pytest.approx(gap / speed) for gap in (1.5, 60, 10, 2)]


@pytest.mark.parametrize("options", [{"out": None}, {"out": "terminal", "json": True}])
def test_elsewhere_nothing_is_waited_for(coffee: Any, options: dict[str, Any]) -> None:
    out = Terminal() if options.pop("out") else None
    played = Played(coffee.pk, "--speed", "0.001", out=out, **options)
    assert played.waits == []


def test_a_wait_is_never_longer_than_a_year(coffee: Any) -> None:
    assert set(Played(coffee.pk, "--speed", "1e-300", out=Terminal()).waits) == {365 * 86_400}


def test_step_waits_for_enter_before_each_event(coffee: Any) -> None:
    played = Played(coffee.pk, "--step", out=Terminal())
    assert (played.enters, played.waits) == (6, [])
    assert Played(coffee.pk, "--step", "--json").enters == 0


@pytest.mark.parametrize("end", [KeyboardInterrupt, EOFError])
def test_it_can_be_ended_at_any_time(coffee: Any, end: type[BaseException]) -> None:
    def stop(*args: Any) -> None:
        raise end

    for arguments in ((), ("--step",)):
        played = Played(
            coffee.pk, *arguments, out=Terminal(), no_color=True, wait=stop, wait_for_enter=stop
        )
        lines = played.text.splitlines()
        assert lines[-1] == ""
        assert lines[0].endswith("opened  Ordering coffee")
        assert len(lines) < 5


INTO_A_CLOSED_PIPE = """
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "turnlog.core",
        "turnlog.events",
        "turnlog.projections",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command, execute_from_command_line
from turnlog.events.models import Conversation

call_command("migrate", verbosity=0)
Conversation.objects.create(title="Ordering coffee").clear()
execute_from_command_line(["manage.py", "replay_conversation", "1"])
"""


@pytest.mark.slow_once
def test_a_pager_that_was_closed_is_no_error() -> None:
    command = [sys.executable, "-c", INTO_A_CLOSED_PIPE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()  # Long before anything is written.
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


# Colours


@pytest.mark.parametrize(
    ("out", "variable", "options", "coloured"),
    [
        (Terminal, "", {}, True),
        (Terminal, "1", {}, False),
        (Terminal, "", {"no_color": True}, False),
        (StringIO, "", {}, False),
        (StringIO, "1", {"force_color": True}, True),
    ],
)
def test_colours_are_for_terminals(
    coffee: Any, monkeypatch: Any, out: Any, variable: str, options: Any, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.delenv("DJANGO_COLORS", raising=False)
    text = Played(coffee.pk, out=out(), **options).text
    assert ("\x1b[" in text) == coloured
    if coloured:
        plain = re.sub("\x1b\\[[0-9;]*m", "", text)
        assert plain == Played(coffee.pk).text


# For machines


def test_json_holds_the_events_and_what_was_visible(coffee: Any) -> None:
    facts = json.loads(Played(coffee.pk, "--json", "--version", "5").text)
    assert set(facts) == {"conversation", "version", "at", "events", "messages"}
    assert (facts["conversation"], facts["version"]) == (coffee.pk, 5)
    assert dt.datetime.fromisoformat(facts["at"]) == START + dt.timedelta(seconds=1.5)
    assert facts["messages"] == [json.loads(e.content) for e in as_of(coffee, 5).entries]
    stored = list(read(coffee.pk, until=5))
    for event, found in zip(stored, facts["events"], strict=True):
        assert found == {
            "version": event.version,
            "type": event.type,
            "schema": event.schema,
            "turn_id": str(event.turn_id) if event.turn_id else None,
            "actor_id": str(event.actor_id) if event.actor_id else None,
            "recorded_at": event.recorded_at.isoformat(),
            "payload": json.loads(event.payload or ""),
            "metadata": event.meta,
            "erased": None,
            "username": "ada",
        }
    assert json.loads(Played(coffee.pk, "--json").text)["messages"] == []


REFUSED = {
    "unknown": (["999999"], "there is no conversation 999999;"),
    "both": (
        ["{pk}", "--version=2", "--at=2026-01-01T00:00Z"],
        "expected a version or a time, fou",
    ),
    "above": (["{pk}", "--version=99"], "expected a version from 1 to 8 .the head., found 99"),
    "naive": (["{pk}", "--at=2026-11-22T12:00:00"], "expected a time with its zone, found 2026-11"),
    "a day": (["{pk}", "--at=2026-11-22"], "expected a time with its zone, found 2026-11-22T00:00"),
    "no time": (
        ["{pk}", "--at=noon"],
        "--at: expected a time in ISO 8601 with its zone, .* 'noon'",
    ),
    "early": (["{pk}", "--at=2020-01-01T00:00Z"], "from its first event on"),
    "future": (["{pk}", "--at=2999-01-01T00:00Z"], "which is in the future"),
    **{
        f"speed {speed}": (["{pk}", f"--speed={speed}"], "--speed: expected a finite number above")
        for speed in ("0", "-1", "nan", "inf", "fast", "")
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(coffee: Any, what: str) -> None:
    arguments, sentence = REFUSED[what]
    with pytest.raises(CommandError, match=sentence) as caught:
        Played(*(argument.format(pk=coffee.pk) for argument in arguments))
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)


def test_who_spoke_is_told(conversation: Any, user: Any, django_user_model: Any) -> None:
    bob = django_user_model.objects.create_user("bob", first_name="Bob\n", last_name="  Byte\x1b")
    for number, person in enumerate((user, bob, None)):
        conversation.record_turn(f"words {number}", AIMessage("yes"), user=person)
    conversation.clear(by=bob)
    assert told(conversation.pk)[1:-1] == [
        "human ada  words 0",
        "ai  yes",
        "human Bob Byte\\x1b (bob)  words 1",
        "ai  yes",
        "human guest  words 2",
        "ai  yes",
        "cleared by Bob Byte\\x1b (bob)",
    ]
    assert [event["username"] for event in played_events(conversation.pk)[1::2]] == [
        *("ada", "bob", None, "bob")
    ]
    actor = Actor.objects.get(user=bob).pk
    bob.delete()
    assert told(conversation.pk)[3] == f"human (forgotten {str(actor)[:8]})  words 1"
    assert [event["username"] for event in played_events(conversation.pk)[3:5]] == [None, None]


@pytest.fixture
def asked(conversation: Any, user: Any) -> Any:
    """A turn with two calls of a model, and then another turn."""
    prompt = Prompt(
        model="gpt-4o",
        parameters={"temperature": 1},
        system_prompt="be kind\x1b",
        tools=[{"name": "stock"}],
        previous={"messages": []},
    )
    turn = conversation.start_turn("a latte\x1b", user=user, prompt=prompt)
    call = AIMessage("", tool_calls=[{"name": "stock", "args": {}, "id": "1"}])
    outputs = [{"tool": "stock", "output": 2, "tool_call_id": "1"}]
    conversation.record_turn(
        "a latte\x1b",
        AIMessage("here"),
        outputs,
        user=user,
        turn_id=turn.turn_id,
        rounds=[call, AIMessage("here")],
    )
    conversation.start_turn("a tea", user=user, prompt=Prompt(previous={"messages": []}))
    return turn


def test_what_the_model_was_given_is_told(conversation: Any, asked: Any) -> None:
    first = [
        "model  gpt-4o",
        'parameters  {"temperature":1}',
        'may call  {"name":"stock"}',
        "system  be kind\\x1b",
        "human  a latte\\x1b",
    ]
    where = f"turn {asked.turn_id}, which began at version 2 of conversation {conversation.pk}"
    assert told(conversation.pk, prompt=str(asked.turn_id)) == [
        *first,
        "ai  calls stock({})",
        "tool  2",
        f"call 2 of {where}",
    ]
    assert told(conversation.pk, prompt="6", call=1) == [*first, f"call 1 of {where}"]
    assert told(conversation.pk, prompt="8")[2] == "human  a tea"


def test_what_the_model_was_given_as_json(conversation: Any, asked: Any) -> None:
    facts = json.loads(Played(conversation.pk, prompt="6", json=True).text)
    given = as_of(conversation, 6).prompt()
    assert [codec.decode(each) for each in facts.pop("messages")] == given.messages
    assert facts == {
        "conversation": conversation.pk,
        "turn_id": str(asked.turn_id),
        "version": 2,
        "call": 2,
        "model": "gpt-4o",
        "parameters": {"temperature": 1},
        "system_prompt": "be kind\x1b",
        "tools": [{"name": "stock"}],
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"prompt": "latte"}, "expected a version, such as 12, or a turn's id, found 'latte'"),
        ({"prompt": "99"}, r"expected a version from 1 to 8 \(the head\), found 99"),
        ({"prompt": "1"}, "expected a moment at which a model had been asked"),
        ({"prompt": "6", "call": 3}, "expected a model call from 1 to 2"),
        ({"prompt": str(uuid.UUID(int=1))}, "expected the id of a turn that asked a model"),
        ({"prompt": "6", "version": 6}, "expected neither --version nor --at"),
        ({"call": 1}, "expected --prompt beside it"),
    ],
)
def test_a_prompt_that_there_is_not(
    conversation: Any, asked: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(CommandError, match=why) as refused:
        told(conversation.pk, **options)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)
