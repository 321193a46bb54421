"""The data analyst's chat: real code in a real sandbox, over WebSocket and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from asgiref.sync import async_to_sync
from PIL import Image

from tests.consumers.http_client import Browser, urls_of
from tests.consumers.test_review_masked import client_of
from tests.consumers.test_socket import Client, get_stored, said, url
from tests.project.models_for_tests import ScriptedModel, tool_call
from turnlog.consumers import DataAnalysisChatConsumer, DataAnalystChatConsumer, sandbox
from turnlog.consumers.analysis import guarding, readiness
from turnlog.consumers.sandbox import running
from turnlog.core import codec
from turnlog.core.asynchronous import in_database_thread
from turnlog.core.errors import SandboxRefused
from turnlog.events.models import Conversation
from turnlog.mixins import DataAnalysisMixin
from turnlog.views import DataAnalysisChatView

pytestmark = pytest.mark.django_db(transaction=True)

CODE = "python_repl_tool"


@pytest.fixture(scope="module")
def full() -> None:
    """A sandbox, if this machine has one."""
    try:
        async_to_sync(readiness.require_sandbox)()
    except SandboxRefused as error:
        pytest.skip(str(error))


@pytest.fixture
def sales(tmp_path: Path, settings: Any) -> Iterator[str]:
    settings.BASE_DIR = tmp_path
    table = pd.DataFrame({"도시": ["서울", "부산", "서울"], "매출": [3, 5, 7]})
    table.to_csv(tmp_path / "sales.csv", index=False, encoding="cp949")
    yield "sales.csv"
    sandbox.end_all()
    guarding._guarded.clear()


def analyst(*replies: Any, base: type = DataAnalystChatConsumer, **attributes: Any) -> Any:
    model = ScriptedModel(replies=list(replies), seen=[])
    return type(
        "Analyst",
        (base,),
        {"get_llm": lambda self: model, "model": model, "dataframe_path": "sales.csv"} | attributes,
    )


def runs(*codes: str) -> list[list[Any]]:
    """What a model says that runs each code in a turn of its own."""
    return [reply for code in codes for reply in ([tool_call(CODE, {"code": code})], ["So."])]


class Patient(Client):
    async def frame(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(await self.communicator.receive_from(timeout=60))
        return parsed


class Ran(NamedTuple):
    """What the log has of a run: the value, what the model read, and whether it went well."""

    value: Any
    text: str
    status: str


async def outputs(conversation: Any) -> list[Ran]:
    stored = await get_stored(conversation)
    tools = [event.data for event in stored if event.type == "ToolOutputRecorded"]
    values = [codec.decode(tool.output) for tool in tools]
    return [Ran(v, t.text or v, t.status) for v, t in zip(values, tools, strict=True)]


async def test_values_tables_and_charts_come_back_are_shown_and_recorded(
    full: None, sales: str, conversation: Any, user: Any
) -> None:
    chat = analyst(
        *runs(
            "sums = df.groupby('도시')['매출'].sum()\nprint('합계')\nsums.plot.bar()\nsums",
            "int(sums['서울'])",
        )
    )
    async with Patient(chat, url(conversation), user) as client:
        _, first = await client.say("도시별 매출은?")
        _, second = await client.say("서울만")
    things = [f["things"] for f in first if f.get("role") == "tool" and f["mode"] == "append"]
    assert [thing["kind"] for thing in things[0]] == ["text", "table", "picture"]
    assert things[0][1]["rows"] == [["부산", "5"], ["서울", "10"]]
    assert things[0][2]["src"].startswith("data:image/png;base64,iVBOR")
    assert said(second) == "So."
    of_first, of_second = await outputs(conversation)
    printed, sums, chart = of_first.value
    assert (printed, dict(sums), of_second.value) == ("합계\n", {"부산": 5, "서울": 10}, 10)
    assert isinstance(chart, Image.Image)
    assert "| 서울 | 10 |" in of_first.text
    assert "A chart was drawn" in of_first.text
    prompt = chat.model.seen[0][0].text
    assert "| 0 | 서울 | 3 |" in prompt
    assert "(3 rows, 2 columns)" in prompt


@pytest.mark.slow_once
async def test_variables_are_a_persons_own_over_websocket_and_http_alike(
    full: None, sales: str, user: Any, django_user_model: Any, settings: Any
) -> None:
    conversation = await in_database_thread(Conversation.objects.create)()
    other = await in_database_thread(django_user_model.objects.create_user)("bob")
    chat = analyst(*runs("mine = 41"))
    async with Patient(chat, url(conversation), user) as client:
        await client.say("remember")
    chat = analyst(*runs("'mine' in globals()"))
    async with Patient(chat, url(conversation), other) as client:
        await client.say("whose is it?")
    settings.ROOT_URLCONF = urls_of(analyst(*runs("mine + 1"), base=DataAnalysisChatView))
    browser = Browser(user)
    at = f"/chat/{conversation.pk}/?format=json"
    _, answer = await browser.say(at, "and one more", accept="text/event-stream")
    await answer.until_answered()
    await answer.leave()
    assert [output.value for output in await outputs(conversation)][1:] == [False, 42]


@pytest.mark.slow_once
async def test_a_date_that_its_zone_moves_out_of_range_closes_no_conversation(
    full: None,
    sales: str,
    conversation: Any,
    user: Any,
    django_user_model: Any,
    settings: Any,
) -> None:
    never = "pd.to_datetime(pd.Series(['9999-12-31T23:59:59Z'])).dt.tz_convert('Asia/Seoul')"
    chat = analyst(*runs(never, "1 + 1"))
    for question in ("when does it end?", "and now?"):
        async with Patient(chat, url(conversation), user) as client:
            _, frames = await client.say(question)
        assert said(frames).endswith("So.")
    first, second = await outputs(conversation)
    shown = "9999-12-31T23:59:59.000000Z"
    assert (first.status, str(first.value.dtype), second.value) == (
        "ok",
        "datetime64[us, Asia/Seoul]",
        2,
    )
    assert shown in first.text

    def seen_by_reviewer() -> str:
        reviewer = client_of(django_user_model, "reviewer", "review_conversation")
        return reviewer.get(f"/review/{conversation.pk}/").content.decode()

    settings.ROOT_URLCONF = "tests.project.review_urls"
    assert shown in await in_database_thread(seen_by_reviewer)()


@pytest.mark.slow_once
async def test_faults_of_the_code_are_the_models_to_deal_with(
    full: None, sales: str, conversation: Any, user: Any
) -> None:
    chat = analyst(
        *runs("x = 1\nprint('so far')\n1 / 0", "while True: pass", "x", "import os\nos._exit(9)")
    )
    chat.python_timeout = 1
    async with Patient(chat, url(conversation), user) as client:
        for question in ("divide", "hang", "variables?", "leave"):
            _, frames = await client.say(question)
            assert said(frames) == "So."
    divided, hung, kept, left = await outputs(conversation)
    assert divided.status == hung.status == left.status == "error"
    assert divided.text.startswith("so far")
    assert "ZeroDivisionError" in divided.text
    assert "TimeoutError" in hung.text
    assert kept.value == 1
    assert "started again" in left.text


@pytest.mark.slow_once
async def test_an_erasure_ends_the_worker(
    full: None, sales: str, conversation: Any, user: Any
) -> None:
    async with Patient(analyst(*runs("mine = 41")), url(conversation), user) as client:
        await client.say("remember")
    (place,) = guarding._guarded
    assert place in running._places._seats
    await in_database_thread(conversation.erase)(reason="asked for it")
    assert place not in running._places._seats


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The places whose workers were ended; nothing runs."""
    places: list[Any] = []

    async def run(*args: Any, **kwargs: Any) -> sandbox.Outcome:
        return sandbox.Outcome(value=1)

    async def end(place: sandbox.Place) -> None:
        places.append(place)

    monkeypatch.setattr(sandbox, "run", run)
    monkeypatch.setattr(sandbox, "end", end)
    monkeypatch.setattr(sandbox, "end_conversation", places.append)
    monkeypatch.setattr(sandbox, "tier", lambda: sandbox.Tier("full"))
    monkeypatch.setattr(sandbox, "places", lambda: frozenset(guarding._guarded))
    return places


@pytest.mark.parametrize("what", ["erase", "owner", "clear"])
async def test_what_ends_a_worker_ends_it_in_every_process(
    sales: str, conversation: Any, user: Any, django_user_model: Any, ended: list[Any], what: str
) -> None:
    async with Patient(analyst(*runs("mine = 41")), url(conversation), user) as client:
        await client.say("remember")
    ((place, guarded),) = guarding._guarded.items()
    assert await guarding._may_stay(guarded)
    assert not ended

    def change() -> None:
        if what == "erase":
            conversation.erase(reason="asked for it")
        elif what == "clear":
            conversation.clear()
        else:
            conversation.user = django_user_model.objects.create_user("bob")
            conversation.save()

    await in_database_thread(change)()
    assert ended == [place[0]]  # Here at once; in any other process, when it looks.
    await guarding.look()
    assert ended[1:] == [place]


@pytest.mark.slow_once
async def test_an_erasure_is_not_lost_where_more_code_runs_meanwhile(
    sales: str, conversation: Any, user: Any, ended: list[Any]
) -> None:
    chat = analyst(*runs("mine = 41"))
    async with Patient(chat, url(conversation), user) as client:
        await client.say("remember")
    ((place, guarded),) = guarding._guarded.items()
    await in_database_thread(conversation.erase)(reason="asked for it")
    assert not await guarding._may_stay(guarded)
    await guarding.guard(place, guarded.chat, guarded.stream_id)
    ended.clear()
    await guarding.look()
    assert ended == [place]


@pytest.mark.parametrize("how", ["deactivated", "refused", "broken"])
async def test_a_worker_does_not_outlive_its_persons_rights(
    sales: str, conversation: Any, user: Any, ended: list[Any], how: str
) -> None:
    chat = analyst(*runs("mine = 41"))
    async with Patient(chat, url(conversation), user) as client:
        await client.say("remember")

    async def can_accept(self: Any) -> bool:
        if how == "broken":
            raise KeyError(how)
        return False

    if how == "deactivated":
        user.is_active = False
        await in_database_thread(user.save)()
    else:
        chat.can_accept = can_accept
    (place,) = guarding._guarded
    await guarding.look()
    assert ended == [place]
    assert not guarding._guarded


@pytest.mark.slow_once
@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("http://169.254.169.254/meta.csv", "found the address"),
        ("nowhere.csv", "found nothing at"),
        ("bomb.csv", "more than 1,000 columns"),
        (None, "found none"),
    ],
)
async def test_a_table_that_cannot_be_used_is_a_sentence_and_the_chat_goes_on(
    ended: list[Any],
    sales: str,
    conversation: Any,
    user: Any,
    tmp_path: Path,
    path: Any,
    logged: str,
) -> None:
    (tmp_path / "bomb.csv").write_text("a," * 10**5 + "b\n")
    chat = analyst(["Hello."], dataframe_path=path)
    async with Patient(chat, url(conversation), user) as client:
        _, frames = await client.say("How much?")
        assert frames[-1]["outcome"] == "failed"
        assert frames[-1]["error"].startswith("The table of this chat cannot be read.")
        failed = (await get_stored(conversation))[-1].data
        assert failed.error["kind"] == "table"
        assert logged in failed.error["text"]
        chat.dataframe_path = "sales.csv"
        _, frames = await client.say("And now?")
        assert said(frames) == "Hello."


@pytest.mark.slow_once
async def test_where_no_code_can_run_the_page_says_so(
    sales: str, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: Any, **kwargs: Any) -> Any:
        raise SandboxRefused("none that works here")

    monkeypatch.setattr(sandbox, "run", refuse)
    monkeypatch.setattr(sandbox, "tier", lambda: None)
    async with Patient(analyst(banner="Hi."), url(conversation), user) as client:
        hello = await client.frame()
        banner = "Hi. Python code cannot run here: tell the site's administrator."
        assert hello["banner"] == banner
        _, frames = await client.say("How much?")
    assert frames[-1]["error"].startswith("Python code cannot run here right now.")


@pytest.mark.slow_once
@pytest.mark.parametrize(("tier", "words"), [("full", ""), ("reduced", "reduced sandbox here.")])
async def test_a_reduced_sandbox_is_said_on_the_page(
    monkeypatch: pytest.MonkeyPatch, tier: str, words: str
) -> None:
    monkeypatch.setattr(sandbox, "tier", lambda: sandbox.Tier(tier))
    assert (await readiness.notice()).endswith(words)


@pytest.mark.slow_once
async def test_the_originals_names_are_there(sales: str) -> None:
    class Guided(DataAnalystChatConsumer):
        dataframe_path = "sales.csv"
        column_guideline = "매출: 만 원"

        def get_dataframe(self) -> pd.DataFrame:
            return super().get_dataframe().tail(1)

    chat = Guided(column_guideline="매출: 원", dataframe_path="sales.csv")
    chat.scope = {}
    context = await chat.aget_llm_prompt_context_data(name="x")
    assert (context["column_guideline"], context["name"]) == ("매출: 원", "x")
    assert "(1 rows, 2 columns)" in context["dataframe_head"]
    assert issubclass(Guided, DataAnalysisMixin)
    assert DataAnalystChatConsumer is DataAnalysisChatConsumer
    first, again = await chat.get_tools(), await chat.get_tools()
    assert [tool.name for tool in first] == [tool.name for tool in again] == [CODE]
    assert chat.tools is None


@pytest.mark.slow_once
async def test_a_projects_own_methods_may_query_the_database(sales: str, conversation: Any) -> None:
    class Queried(DataAnalystChatConsumer):
        def get_column_guideline(self) -> str:
            return f"{Conversation.objects.count()} rooms"

        def get_dataframe(self) -> pd.DataFrame:
            return pd.DataFrame({"n": [Conversation.objects.count()]})

    chat = Queried()
    chat.scope = {}
    context = await chat.aget_llm_prompt_context_data()
    assert context["column_guideline"] == "1 rooms"
    assert "| 0 | 1 |" in context["dataframe_head"]
