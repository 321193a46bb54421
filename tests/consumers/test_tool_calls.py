"""What a tool does is the tool's: the turn goes on, the process lives, and its value is kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pandas as pd
import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.db.models import TextChoices
from django.utils.safestring import mark_safe
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException, tool

from tests.consumers.test_socket import Client, chat, get_stored, url
from tests.project.models_for_tests import tool_call
from turnlog.consumers.answering import tool_threads
from turnlog.consumers.answering.tool_calls import call_tool
from turnlog.consumers.answering.tool_values import decoded
from turnlog.consumers.mixins.limits import Limits
from turnlog.consumers.mixins.tools import as_tools
from turnlog.core import codec
from turnlog.core.codec.dispatch import ENCODERS
from turnlog.events.models import Conversation
from turnlog.models import ConversationMessage

TABLE = pd.DataFrame(
    {"day": range(200), "note": ["a note longer than fifty characters " * 2] * 200}
)


class Ours:
    def __str__(self) -> str:
        raise ValueError("no text either")


def table() -> pd.DataFrame:
    """A table."""
    return TABLE


def dated() -> dict[str, Any]:
    """Values that JSON does not have."""
    return {"at": dt.datetime(2026, 1, 1), "price": Decimal("1.50")}


def nothing() -> None:
    """Nothing."""


async def later() -> tuple[int, set[str]]:
    """A value, from the event loop."""
    return 1, {"a"}


def file_name() -> str:
    """A name that is no UTF-8."""
    return os.fsdecode(b"caf\xe9.txt")


@tool(response_format="content_and_artifact")
def beside() -> tuple[str, Any]:
    """A text for the model, and a value."""
    return "two rows", [1, dt.date(2026, 1, 1)]


@tool
def with_id(tool_call_id: Annotated[str, InjectedToolCallId]) -> dict[str, Any]:
    """Knows its call."""
    return {"id": tool_call_id, "day": dt.date(2026, 1, 1)}


@tool
def several(tool_call_id: Annotated[str, InjectedToolCallId]) -> list[ToolMessage]:
    """Several messages."""
    return [ToolMessage(text, tool_call_id=tool_call_id) for text in ("one", "two")]


class Command:
    """As LangGraph's, which is not installed here."""

    def __init__(self, **update: Any) -> None:
        self.update = update


class OfAClass(BaseTool):
    name: str = "of_a_class"
    description: str = "A tool of a class."

    def _run(self, rows: int = 1) -> list[int]:
        return list(range(rows))


def blocks() -> list[dict[str, str]]:
    """Content blocks."""
    return [{"type": "text", "text": "a block"}]


def printing() -> str:
    """Prints."""
    print("\ud83d", file=io.StringIO())
    sys.stdout.write("noise")
    return "done"


def marked() -> str:
    """Text of Django's templates."""
    return mark_safe("<b>read this</b>")


def status() -> str:
    """A member of an enumeration."""
    return Status.OPEN


class Status(TextChoices):
    OPEN = "open"


def almost_blocks() -> list[Any]:
    """Rows that look like content blocks."""
    return [{"type": "file", "at": dt.date(2026, 1, 1)}]


KEPT: dict[str, tuple[Any, Any, Any]] = {
    # The tool, its value in the log, and what the model reads (None: the value itself).
    "a table": (table, TABLE, str(TABLE)),
    "values that JSON does not have": (dated, dated(), str(dated())),
    "nothing": (nothing, None, "null"),
    "a tuple, from the loop": (later, (1, {"a"}), "(1, {'a'})"),
    "half a character": (file_name, file_name(), "caf\ufffd.txt"),
    "a text beside": (beside, [1, dt.date(2026, 1, 1)], "two rows"),
    "its own id": (with_id, {"id": "call-1", "day": dt.date(2026, 1, 1)}, None),
    "several messages": (several, ..., "one\n\ntwo"),
    "a class's": (OfAClass(), [0], "[0]"),
    "blocks": (blocks, blocks(), blocks()),
    "a text of Django's": (marked, "<b>read this</b>", "<b>read this</b>"),
    "a choice": (status, "open", "open"),
    "almost blocks": (almost_blocks, almost_blocks(), None),
    "prints": (printing, "done", "done"),
}


async def called(given: Any, seconds: float | None = 10, **args: Any) -> Any:
    tools = {one.name: one for one in as_tools([given])}
    [name] = tools
    return await call_tool(
        tools, {"name": name, "args": args, "id": "call-1"}, Limits(tool_seconds=seconds)
    )


@pytest.mark.parametrize("what", KEPT)
async def test_a_value_is_kept_as_it_is(what: str) -> None:
    given, value, text = KEPT[what]
    output, message, _ = await called(given)
    assert output["status"] == "ok"
    if value is not ...:
        assert codec.dumps(output["output"]) == codec.dumps(value)
    assert codec.dumps(output)  # It can be stored.
    if text is not None:
        assert message.content == text
    assert (output["text"] or output["output"]) == message.content


def generate() -> Iterator[int]:
    """A generator."""
    yield 1


def opened() -> Any:
    """An open file."""
    return io.StringIO("words")


def of_ours() -> Any:
    """An object of the project's."""
    return {"inside": [Ours()]}


def goto() -> Any:
    """What only LangGraph carries out."""
    return Command(goto="elsewhere")


REFUSED = {"generator": generate, "StringIO": opened, "Ours": of_ours, "Command": goto}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_kept_is_refused_by_name(name: str) -> None:
    output, message, _ = await called(REFUSED[name])
    assert (output["output"], output["status"], message.status) == (None, "error", "error")
    assert name in message.content
    assert output["text"] == message.content


def leave() -> None:
    """Leaves."""
    sys.exit(3)


async def aleave() -> None:
    """Leaves, on the loop."""
    sys.exit(3)


async def interrupt() -> None:
    """As Ctrl+C."""
    raise KeyboardInterrupt


async def cancelled() -> None:
    """Is cancelled from within."""
    raise asyncio.CancelledError("own")


async def group() -> None:
    """As MCP clients do."""
    raise BaseExceptionGroup("unhandled", [asyncio.CancelledError("s"), OSError("gateway timeout")])


def unspeakable() -> None:
    """Raises what has no text."""

    class Bad(Exception):
        __str__ = Ours.__str__

    raise Bad


def secret() -> None:
    """Raises a secret."""
    raise ConnectionError("postgres://ada:hunter2@db/site is away")


def exhausted() -> int:
    """Has no next."""
    return next(iter([]))


async def leave_in_a_child() -> None:
    """Leaves, in a task of its own."""
    await asyncio.gather(aleave())


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit


def unspeakable_exit() -> None:
    """Raises what leaves when it is told."""
    raise Unspeakable


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit(3)


class NoName(Exception, metaclass=Nameless):
    """Leaves when its name is asked."""


def no_name() -> None:
    """Raises what has no name."""
    raise NoName


async def ano_name() -> None:
    """Raises it on the loop."""
    raise NoName


def deep() -> None:
    """Raises a group of groups of groups."""
    error: Exception = ValueError("within")
    for _ in range(5 * sys.getrecursionlimit()):
        error = ExceptionGroup("deeper", [error])
    raise error


async def adeep() -> None:
    """Raises it on the loop."""
    deep()


class SelfCancelling(BaseTool):
    name: str = "self_cancelling"
    description: str = "Cancels its own task."

    def _run(self) -> None: ...

    async def _arun(self) -> None: ...

    async def ainvoke(self, *args: Any, **kwargs: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


class Handled(BaseTool):
    name: str = "handled"
    description: str = "Handles its own errors."
    handle_tool_error: Any = True

    def _run(self) -> str:
        raise ToolException("try another city")


RAISED = {
    "SystemExit: 3": (
        leave,
        aleave,
        leave_in_a_child,
        StructuredTool.from_function(coroutine=aleave),
    ),
    "KeyboardInterrupt": (interrupt,),
    "CancelledError: own": (cancelled,),
    "OSError: gateway timeout": (group,),
    "Bad: ": (unspeakable,),
    "[secret]": (secret,),
    "try another city": (Handled(),),
    "StopIteration": (exhausted,),
    "Unspeakable: ": (unspeakable_exit,),
    "CancelledError": (SelfCancelling(),),
    "NoName: ": (no_name, ano_name),
    "ExceptionGroup: deeper": (deep, adeep),
}


@pytest.mark.parametrize(("text", "given"), [(t, g) for t, all_ in RAISED.items() for g in all_])
async def test_whatever_a_tool_raises_is_told_to_the_model(text: str, given: Any) -> None:
    output, message, _ = await called(given)
    assert (output["status"], message.status) == ("error", "error")
    assert text in message.content
    assert "hunter2" not in message.content


async def test_a_value_is_kept_as_it_was_when_it_was_returned() -> None:
    rows: list[Any] = []

    def add() -> list[Any]:
        """Goes on with the same list."""
        rows.append(len(rows))
        return rows

    first, second = await called(add), await called(add)
    rows.append(object())
    kept = decoded([first.output, second.output])
    assert [output["output"] for output in kept] == [[0], [0, 1]]


async def test_a_value_that_raises_while_it_is_stored_is_refused() -> None:
    def shared() -> dict[str, Any]:
        """Is being changed by somebody else."""
        return {"now": Changing()}

    output, message, _ = await called(shared)
    assert (output["output"], output["status"]) == (None, "error")
    assert "changed" in message.content


class Changing:
    """As a dictionary that another thread changes while it is read."""


@pytest.fixture(autouse=True)
def changing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(value: Any, depth: int) -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setitem(ENCODERS, Changing, fail)


async def test_a_tool_that_never_ends_is_left_behind() -> None:
    go_on = threading.Event()

    def forever() -> None:
        """Never ends."""
        go_on.wait()

    async def deaf() -> None:
        """Does not hear that it is cancelled."""
        while not go_on.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    try:
        for given in (forever, deaf):
            output, message, _ = await called(given, 0.05)
            assert output["status"] == "error"
            assert "did not end within 0.05 seconds" in message.content
        others = [called(OfAClass(), 10) for _ in range(40)]
        assert {result.output["status"] for result in await asyncio.gather(*others)} == {"ok"}
    finally:
        go_on.set()


async def test_what_a_tools_error_says_is_said_within_the_tools_time() -> None:
    go_on, asked = threading.Event(), []

    class Endless(Exception):
        def __str__(self) -> str:
            asked.append(threading.current_thread())
            go_on.wait()
            return "at last"

    def fails() -> None:
        """Raises what does not end its sentence."""
        raise Endless

    async def afails() -> None:
        """Raises it on the loop."""
        raise Endless

    try:
        for given in (fails, afails):
            _, message, _ = await called(given, 0.5)
            assert "did not end within 0.5 seconds" in message.content
        assert threading.main_thread() not in asked
    finally:
        go_on.set()


@pytest.fixture
def hung() -> Iterator[Any]:
    """A tool that ends when the test does, or when its event is set."""
    go_on = threading.Event()

    def hang() -> str:
        """Hangs."""
        go_on.wait()
        return "done"

    hang.go_on = go_on  # type: ignore[attr-defined]
    yield hang
    go_on.set()


async def test_the_wait_for_a_thread_is_none_of_the_tools_time(
    monkeypatch: pytest.MonkeyPatch, hung: Any
) -> None:
    monkeypatch.setattr(tool_threads, "_SHARE", 1)
    tool_threads.person.set("ada")
    first = asyncio.create_task(called(hung, 1.0))
    second = asyncio.create_task(called(nothing, 0.5))
    assert (await first).output["status"] == "error"
    assert not second.done()  # It has waited for longer than its tool may take.
    hung.go_on.set()
    assert (await second).output["status"] == "ok"


async def test_a_call_that_finds_no_thread_is_not_run(
    monkeypatch: pytest.MonkeyPatch, hung: Any, caplog: Any
) -> None:
    monkeypatch.setattr(tool_threads, "_SECONDS", 0.05)
    tool_threads.person.set("ada")
    many = [called(hung, 0.05) for _ in range(tool_threads._SHARE)]
    assert "did not end" in (await asyncio.gather(*many))[0].message.content
    output, message, _ = await called(nothing)
    assert (output["status"], output["duration"]) == ("error", 0.0)
    assert message.content.startswith("This call was not run: too many tools are running")
    assert "nothing was not run: tools that do not end" in caplog.text
    assert (await called(later)).output["status"] == "ok"  # It needs no thread.
    tool_threads.person.set("eve")
    assert (await called(nothing)).output["status"] == "ok"
    tool_threads.person.set("ada")
    monkeypatch.setattr(tool_threads, "_SECONDS", 60.0)
    hung.go_on.set()
    assert (await called(nothing)).output["status"] == "ok"


async def test_a_process_has_so_many_threads_for_all(
    monkeypatch: pytest.MonkeyPatch, hung: Any
) -> None:
    monkeypatch.setattr(tool_threads, "_THREADS", 2)
    monkeypatch.setattr(tool_threads, "_SECONDS", 0.05)
    for name in ("ada", "eve", "joe"):
        tool_threads.person.set(name)
        result = await called(hung, 0.05)
    assert "was not run" in result.message.content
    # What was waited for in vain is given back.
    threads = tool_threads._threads[asyncio.get_running_loop()]
    assert threads.shares["ada"]._value == tool_threads._SHARE - 1
    joes = threads.shares.get("joe")
    assert joes is None or joes._value == tool_threads._SHARE


@pytest.mark.django_db(transaction=True)
async def test_one_persons_tools_leave_threads_for_anothers(
    conversation: Any, user: Any, django_user_model: Any, monkeypatch: Any, hung: Any
) -> None:
    monkeypatch.setattr(tool_threads, "_SECONDS", 0.05)
    many = [{"name": "hang", "args": {}, "id": f"c{n}"} for n in range(64)]
    asked = AIMessageChunk("", tool_calls=many, chunk_position="last")
    greedy = chat([asked], ["Done."], tools=(hung,), tool_timeout=0.05)
    async with Client(greedy, url(conversation), user) as client:
        await client.say("Go")
    assert "was not run" in greedy.model.seen[1][-1].content
    eve = await django_user_model.objects.acreate(username="eve")
    hers = await Conversation.objects.acreate(user=eve)
    other = chat([tool_call("nothing", {})], ["Done."], tools=(nothing,))
    async with Client(other, url(hers), eve) as client:
        await client.say("Go")
    assert other.model.seen[1][-1].content == "null"


async def test_stopping_a_turn_does_not_wait_for_its_tool() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def forever() -> None:
        """Never ends."""
        begun.set()
        go_on.wait()

    task = asyncio.create_task(called(forever, None))
    try:
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        go_on.set()


def count_users() -> int:
    """How many users there are."""
    count: int = get_user_model().objects.count()
    return count


async def acount_users() -> int:
    """How many users there are, by Django's async ORM."""
    count: int = await get_user_model().objects.acount()
    return count


@pytest.fixture
def end_others(user: Any) -> Any:
    """Ends all of the database's connections but this thread's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [ours] = cursor.fetchone()

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid NOT IN (%s, pg_backend_pid())",
                [ours],
            )
        connections.close_all()

    return end


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
async def test_a_tool_gives_back_its_connections(user: Any) -> None:
    used: list[Any] = []

    def look() -> int:
        """Uses the database."""
        count = count_users()
        used.append(connection.connection)
        return count

    results = await asyncio.gather(*(called(look) for _ in range(8)))
    assert {codec.decode(result.output["output"]) for result in results} == {1}
    assert [raw.closed for raw in used] == [True] * 8


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given", [count_users, acount_users])
async def test_a_tool_works_over_a_restart_of_the_database(end_others: Any, given: Any) -> None:
    assert codec.decode((await called(given)).output["output"]) == 1
    await asyncio.to_thread(end_others)
    assert codec.decode((await called(given)).output["output"]) == 1


@pytest.mark.django_db(transaction=True)
async def test_one_output_that_cannot_be_kept_does_not_lose_the_others(
    conversation: Any, user: Any
) -> None:
    consumer = chat(
        ["Look: ", tool_call("table", {})],
        [tool_call("generate", {}, "call-2")],
        [tool_call("aleave", {}, "call-3")],
        ["Done."],
        tools=(table, generate, aleave),
    )
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="Show me all")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "completed"
    [_, first, second, third, answer] = await ConversationMessage.objects.aget_histories(
        conversation, user
    )
    assert first["output"].equals(TABLE)
    assert (second["output"], second["status"]) == (None, "error")
    assert third["output"] == "SystemExit: 3"
    assert answer.content.startswith("Look: ")
    assert "generator" in (await get_stored(conversation))[-5].payload


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("told", [False, True])
async def test_what_a_failed_tool_said_is_shown_only_by_a_setting(
    conversation: Any, user: Any, settings: Any, told: bool
) -> None:
    settings.TURNLOG = {"SHOW_TOOL_ERRORS": told}
    consumer = chat([tool_call("leave", {})], ["Sorry."], tools=(leave,))
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="Leave")
        live = await client.until_ended()
    async with Client(consumer, url(conversation), user) as client:
        again = await client.until(lambda frame: frame.get("role") == "assistant")
    for frames in (live, again):
        [card] = [f for f in frames if f.get("role") == "tool" and f.get("status")]
        assert (card["status"], "SystemExit" in card["content"]) == ("error", told)
    assert "SystemExit: 3" in consumer.model.seen[-1][-1].content
