"""Read models and pages of conversations with blobs: they load what they show, and nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from PIL import Image

from tests.events.proof.administrator import execute
from turnlog.consumers.page.turn_view import view_of
from turnlog.core import codec
from turnlog.core.codec import blobs
from turnlog.events.log import read
from turnlog.events.models import Blob, Conversation
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Overview, SearchEntry, Usage
from turnlog.projections.transcript import read_transcript
from turnlog.projections.travel.moments import replay
from turnlog.projections.travel.prompts import described, prompt_of_turn

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
ANSWER = "elderberries and quinces. " * 8_000
OUTPUT = "gooseberries " * 100_000


def picture(url: bool = False) -> HumanMessage:
    data = b64encode(PNG).decode()
    block: dict[str, Any] = {"type": "image", "base64": data, "mime_type": "image/png"}
    if url:
        block = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return HumanMessage([{"type": "text", "text": "What is this?"}, block])


@pytest.fixture
def room(conversation: Any, user: Any) -> Any:
    turn = conversation.start_turn(picture(), user=user)
    outputs = [
        {"tool": "look_up", "output": OUTPUT},
        {"tool": "draw", "output": Image.effect_noise((300, 300), 50)},
    ]
    answer = AIMessage(
        ANSWER, usage_metadata={"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    )
    conversation.record_turn(picture(), answer, outputs, user=user, turn_id=turn.turn_id)
    return conversation


@pytest.fixture
def loaded(room: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """What is loaded of blobs from now on: digests, and how many bytes; None is all."""
    found: list[tuple[str, int | None]] = []
    [loader] = blobs._loader

    def note(digest: str, most: int | None) -> bytes:
        found.append((digest, most))
        return loader(digest, most)

    monkeypatch.setattr(blobs, "_loader", [note])
    return found


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_a_page_loads_texts_and_of_a_tools_only_the_beginning(
    room: Any, user: Any, loaded: list[Any]
) -> None:
    [turn] = read_transcript(room.pk, user, limit=50).turns
    known = [digest_of(ANSWER), digest_of(OUTPUT), sha256(PNG).hexdigest()]
    drawn = Blob.objects.exclude(pk__in=known).get().pk
    expected = [(digest_of(ANSWER), None), (digest_of(OUTPUT), 4 * 20_001), (drawn, None)]
    assert sorted(loaded, key=str) == sorted(expected, key=str)
    loaded.clear()
    view = view_of(turn, show_initial_prompt=True)
    assert view.human_text == "What is this?"
    assert view.text == ANSWER
    tools = [piece for piece in view.pieces if piece["kind"] == "tool"]
    assert tools[0]["output"] == OUTPUT[:20_000] + " …"
    assert tools[1]["things"][0]["src"].startswith("data:image/png;base64,")
    assert loaded == [], "the rendering thread reads no database"


def test_a_page_opens_though_blobs_are_gone(room: Any, user: Any) -> None:
    execute("DELETE FROM turnlog_blob_use")
    execute("DELETE FROM turnlog_blob")
    [turn] = read_transcript(room.pk, user, limit=50).turns
    view = view_of(turn, show_initial_prompt=True)
    assert view.human_text == "What is this?"
    assert view.text == "This message cannot be shown here."
    tools = [piece for piece in view.pieces if piece["kind"] == "tool"]
    assert "found none; restore the table" in tools[0]["output"]


def test_projections_load_no_picture_and_find_long_texts(room: Any, user: Any, loaded: Any) -> None:
    Worker(named(["overview", "search", "usage"])).catch_up()
    assert {digest for digest, _ in loaded} <= {digest_of(ANSWER), digest_of(OUTPUT)}
    assert SearchEntry.objects.search("quinces").count() == 1
    overview = Overview.objects.get()
    assert (overview.images, overview.tokens, overview.tool_calls) == (2, 5, 2)
    assert Usage.objects.get().total_tokens == 5
    for projection in named(["messages", "overview", "search", "usage"]):
        assert not list(differences(projection, [room.pk]))


def test_words_leave_pictures_out_and_data_has_them(room: Any, loaded: list[Any]) -> None:
    started = next(event for event in read(room.pk) if event.type == "TurnStarted")
    message = codec.decode(started.words.message)
    assert message.content[1]["base64"] == codec.Blob(sha256(PNG).hexdigest(), len(PNG), "")
    assert loaded == []
    assert codec.decode(started.data.message) == picture()


def test_a_data_url_is_stored_as_its_file(conversation: Any, user: Any) -> None:
    conversation.record_turn(picture(), AIMessage("ok"), user=user)
    conversation.record_turn(picture(url=True), AIMessage("ok"), user=user)
    assert Blob.objects.get().size == len(PNG)
    assert conversation.messages.order_by("version")[2].content == picture(url=True)


def test_a_message_that_was_given_is_described_by_its_entry(room: Any, user: Any) -> None:
    from turnlog.consumers.mixins.given import listed_entries
    from turnlog.projections.messages.previous import HistoryRule

    entries = listed_entries(room, user)
    ruled = HistoryRule().of_entries(entries)
    told = described([*ruled.messages, AIMessage("more")], ruled, entries)
    assert told["messages"][:2] == [entries[0].version, entries[-1].version]
    turn = room.start_turn("and this?", user=user, prompt=_prompt(told))
    given = prompt_of_turn(room.pk, turn.turn_id)
    assert [message.content for message in given.messages] == [
        *(picture().content, ANSWER, "more", "and this?")
    ]


def _prompt(previous: Any) -> Any:
    from turnlog.events.prompt import Prompt

    return Prompt("m", {}, "", previous=previous)


def test_time_travel_and_forks_have_the_pictures(room: Any, user: Any) -> None:
    *_, last = replay(room.pk)
    assert last.messages[0] == picture()
    fork = Conversation.objects.get(pk=room.fork(user=user).pk)
    assert fork.messages.order_by("version")[0].content == picture()
