"""docs/frames.md: its frames, fields, requests and ids are those of the code."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from tests.docs.pages import ROOT, codes, rows, section, text_of
from turnlog.consumers.page.calls import call_piece
from turnlog.consumers.page.frames import Encoder, HtmlEncoder, JsonEncoder
from turnlog.consumers.page.progress import Progress
from turnlog.consumers.page.turn_view import TurnView
from turnlog.consumers.socket import websocket
from turnlog.consumers.socket.requests import _FIELDS, _IGNORED

pytestmark = pytest.mark.slow_once


def encoder_frames() -> set[str]:
    return {name for name, value in vars(Encoder).items() if callable(value) and name[0] != "_"}


def test_frames_are_those_of_the_encoders() -> None:
    page = section(text_of("docs/frames.md"), "## What the server sends")
    documented = re.findall(r"^### `(\w+)`$", page, re.MULTILINE)
    assert set(documented) == encoder_frames()
    for encoder in (HtmlEncoder, JsonEncoder):
        assert encoder_frames() <= set(vars(encoder))
    templates = ROOT / "consumers" / "templates" / "turnlog" / "frames"
    on_disk = {path.name for path in templates.glob("*.html") if not path.name.startswith("_")}
    assert set(re.findall(r"`(\w+\.html)`", page)) == on_disk


def json_frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each kind of JSON frame, with the heading under which it is documented."""
    encoder = JsonEncoder()
    card = {"kind": "tool", "id": "0", "name": "look_up", "input": "{}"}
    result = {"kind": "tool_result", "id": "0", "status": "ok", "output": "32", "seconds": 0.1}
    result["things"] = [{"kind": "picture", "src": ""}]
    thought = {"kind": "thinking", "id": "0", "text": "Let me look."}
    answer = AIMessage("32.", response_metadata={"finish_reason": "stop"})
    turn = TurnView(
        id=str(uuid.uuid4()),
        version=3,
        outcome="open",
        human_text="How much?",
        show_human=True,
        at=None,
        pieces=[
            thought,
            card,
            result,
            call_piece(0, answer, 1.0),
        ],
        text="32.",
    )
    turn.alternatives = [turn.id, str(uuid.uuid4())]
    produced = {
        "hello": encoder.hello(max_length=1, banner="", welcome=""),
        "reset": encoder.reset(),
        "gone": encoder.gone([turn.id]),
        "turn": encoder.turn(turn, 3),
        "progress": encoder.progress(turn, Progress()),
        "ended": encoder.ended(turn, 3, Progress()),
        "earlier": encoder.earlier([turn], more=True, before=2),
        "notice": encoder.notice("No.", level="error"),
    }
    assert set(produced) == encoder_frames()
    for heading, frames in produced.items():
        for frame in frames:
            yield heading, json.loads(frame)


def test_json_fields_are_documented() -> None:
    page = text_of("docs/frames.md")
    general = section(page, "## What the server sends")
    for heading, frame in json_frames():
        own = section(page, f"### `{heading}`")
        if "role" in frame:
            known = general
            assert {"id", "role", "mode", "content"} <= set(frame)
        elif frame["type"] == "call":
            known = section(page, "#### Calls of the model")
        else:
            known = section(page, "### `turn`") if frame["type"] == "turn" else own
            assert frame["type"] in page
        for field in frame:
            assert f"`{field}`" in known or f'"{field}"' in known, f"{heading}: {field}"


def test_fields_in_tables_exist() -> None:
    """The other way round: nothing is documented that no frame has."""
    page = text_of("docs/frames.md")
    by_type = {frame["type"]: set(frame) for _, frame in json_frames() if "type" in frame}
    headings = {kind: f"### `{kind}`" for kind in ("hello", "turn", "earlier", "notice")}
    for kind, heading in {**headings, "call": "#### Calls of the model"}.items():
        own = section(page, heading).partition("\n#### ")[0]
        documented = {
            name for row in rows(own) if len(row) == 2 and codes(row[0]) for name in codes(row[0])
        }
        assert documented == by_type[kind]


def test_requests_are_documented() -> None:
    page = section(text_of("docs/frames.md"), "## What the client sends")
    documented = {
        frozenset(name for name in codes(row[1]) if re.fullmatch(r"[a-z_]+", name))
        for row in rows(page)
    }
    assert documented == {frozenset(fields) for fields in _FIELDS.values()}
    assert all(f"`{name}`" in page for name in _IGNORED)
    assert {kind for kind in _FIELDS if kind} == set(re.findall(r'`type`: `"(\w+)"`', page))


def test_close_codes_and_ids_are_documented() -> None:
    page = text_of("docs/frames.md")
    listed = {row[0] for row in rows(section(page, "## Close codes"))}
    assert {str(websocket.SESSION_ENDED), str(websocket.TRY_AGAIN_LATER), "1011"} <= listed
    template = text_of("consumers/templates/turnlog/chat_room_ws.html")
    aimed_at = set(re.findall(r'\bid="(turnlog[\w-]*)"', template)) - {"turnlog-sign-in"}
    assert set(codes(section(page, "## The ids on the page"))) >= aimed_at
