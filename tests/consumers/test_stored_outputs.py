"""A tool's value is encoded once, and shown without being read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from turnlog.consumers.answering.tool_values import decoded, keeping, value_of
from turnlog.consumers.mixins.limits import Limits
from turnlog.consumers.page.turn_view import view_of
from turnlog.core import codec
from turnlog.core.codec.dispatch import DECODERS, ENCODERS
from turnlog.events import drafts
from turnlog.events.models import Event
from turnlog.projections.transcript import read_transcript

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def _no_blobs(settings: Any) -> None:
    settings.TURNLOG = {"BLOB_THRESHOLD": 10_000_000}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often pictures were encoded and decoded."""
    codec.loads(codec.dumps(Image.new("L", (1, 1))))  # Fills the tables.
    counts = {"encoded": 0, "decoded": 0}
    encode, decode = ENCODERS[Image.Image], DECODERS["PIL.Image"]

    def encoding(value: Any, depth: int) -> Any:
        counts["encoded"] += 1
        return encode(value, depth)

    def decoding(body: Any, depth: int) -> Any:
        counts["decoded"] += 1
        return decode(body, depth)

    monkeypatch.setitem(ENCODERS, Image.Image, encoding)
    monkeypatch.setitem(DECODERS, "PIL.Image", decoding)
    return counts


def output_of(value: Any) -> dict[str, Any]:
    @tool
    def given() -> Any:
        """A tool."""
        return value

    call: Any = {"name": "given", "args": {}, "id": "1", "type": "tool_call"}
    found = value_of(keeping(given).invoke(call), Limits())
    return {"tool": "given", "tool_call_id": "1", "input": {}, "output": found.value, "text": None}


@pytest.mark.django_db
def test_a_picture_is_encoded_once_and_never_decoded(
    counted: dict[str, int], conversation: Any, user: Any
) -> None:
    picture = Image.effect_noise((500, 400), 50)
    output = output_of(picture)
    turn = conversation.start_turn("show", user=user)
    drafts.keep(conversation.pk, turn.turn_id, 1, "", [output], [])
    conversation.record_turn("show", AIMessage("here"), [output], user=user, turn_id=turn.turn_id)
    views = [
        view_of(shown, show_initial_prompt=True)
        for _viewer in range(3)
        for shown in read_transcript(conversation.pk, user, limit=5).turns
    ]
    assert counted == {"encoded": 1, "decoded": 0}
    stored = Event.objects.get(type="ToolOutputRecorded").payload
    assert stored is not None
    document = json.dumps(json.loads(stored)["output"], separators=(",", ":"))
    assert len(document) > 100_000
    for view in views:
        [shown] = view.pieces[0]["things"]
        assert shown["kind"] == "picture"
    [again] = decoded([output])
    assert again["output"] == picture


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["한" * 150_000, ["x" * 150_000], {"a": list(range(50_000))}, 5])
def test_the_log_holds_what_it_always_held(value: Any, conversation: Any, user: Any) -> None:
    """The same bytes, whether the value or its text is recorded."""
    for output in (output_of(value), {**output_of(value), "output": value}):
        conversation.record_turn("q", AIMessage("a"), [output], user=user)
        conversation.fail_turn(
            conversation.start_turn("q", user=user).turn_id, tools_output_list=[output]
        )
    for type_ in ("ToolOutputRecorded", "TurnFailed"):
        one, other = Event.objects.filter(type=type_).values_list("payload", flat=True)
        assert one == other
        assert codec.dumps(value) in str(one)
    first, *_ = read_transcript(conversation.pk, user, limit=5).turns
    shown = view_of(first, show_initial_prompt=True).pieces[0]["output"]
    text = value if isinstance(value, str) else codec.dumps(value)
    assert shown == (text if len(text) <= 20_000 else text[:20_000] + " …")


def test_a_hook_of_a_project_gets_the_value() -> None:
    rows = [{"row": number} for number in range(5)]
    assert decoded([output_of(rows), output_of("text"), output_of(None)]) == [
        {**output_of(rows), "output": rows},
        output_of("text"),
        output_of(None),
    ]


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1, "b": [None, "한"]}] * 3000,
        {"rows": list(range(30_000))},
        [object] * 3,
        [1.5, {"a": {1, 2}}],
        ("a", 1),
        None,
        7,
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_model_reads_what_langchain_would_make_of_it(value: Any) -> None:
    @tool
    def given() -> Any:
        """A tool."""
        return value

    call: Any = {"name": "given", "args": {}, "id": "1", "type": "tool_call"}
    assert keeping(given).invoke(call).content == given.invoke(call).content
