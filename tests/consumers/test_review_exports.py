"""Exports of the review room: what is in them, who may, and what no spreadsheet must run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import FileResponse
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from tests.consumers.test_review_acts import catch_up, client_with
from turnlog.consumers.review import exporting, recording
from turnlog.consumers.review.exporting import safe_cell
from turnlog.events import reviews
from turnlog.events.models import Conversation
from turnlog.events.verify import main as verify
from turnlog.projections.models import Access
from turnlog.projections.queues import acts as queues

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.review_urls")]

PHONE = "010-2345-6789"


@pytest.fixture(autouse=True)
def _nothing_was_seen_before() -> None:
    recording._looks.forget()


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title='=HYPERLINK("http://x")')
    room.record_turn(f"=1+1 call {PHONE}", AIMessage('quoted "words",\nand lines'), user=user)
    reviews.add_note(room.pk, f"@note {PHONE}", by=user)
    catch_up()
    return room


@pytest.fixture
def erin(db: None) -> Client:
    return client_with("erin", "review_conversation", "export_log")


def exported(client: Client, what: str, form: str = "csv", **fields: str) -> str:
    response = client.post(
        "/review/export/", {"what": what, "form": form, "reason": "request 17", **fields}
    )
    assert response.status_code == 200, response.content.decode()
    assert isinstance(response, FileResponse)
    assert response["Content-Disposition"] == f'attachment; filename="turnlog-{what}.{form}"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]
    return b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[arg-type]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_search_as_csv(room: Conversation, erin: Client, user: Any) -> None:
    Conversation.objects.create(user=user, title="empty").record_turn(
        "other", AIMessage("words"), user=user
    )
    catch_up()
    [row] = rows(exported(erin, "conversations", q="lines"))
    assert row["conversation"] == str(room.pk)
    assert row["title"] == "'" + room.title
    assert (row["turns"], row["owner"]) == ("1", user.username)
    said = rows(exported(erin, "messages", q=f"id:{room.pk}"))
    assert [each["role"] for each in said] == ["human", "ai"]
    assert said[0]["text"].startswith("'=1+1 call [phone ")
    assert said[1]["text"] == 'quoted "words",\nand lines'
    [note] = rows(exported(erin, "remarks"))
    assert note["text"].startswith("'@note [phone ")
    assert note["kind"] == "note"
    assert rows(exported(erin, "messages", q="mermaid")) == []


def test_a_search_as_json(room: Conversation, erin: Client) -> None:
    [first, _] = json.loads(exported(erin, "messages", "json"))
    assert first["text"].startswith("=1+1 call [phone ")  # No spreadsheet reads it.
    assert json.loads(exported(erin, "remarks", "json", q="mermaid")) == []


def test_personal_data_only_for_who_may_reveal_it(room: Conversation, erin: Client) -> None:
    for what in ("messages", "remarks"):
        assert PHONE not in exported(erin, what)
    form = {"what": "messages", "form": "csv", "reason": "request 17", "unmasked": "on"}
    assert erin.post("/review/export/", form).status_code == 403
    lead = client_with("lead", "review_conversation", "export_log", "reveal_personal_data")
    assert PHONE not in exported(lead, "messages")
    assert PHONE in exported(lead, "messages", unmasked="on")
    pages = Access.objects.filter(action="exported").values_list("page", "reason")
    assert pages[0] == ("messages, csv, unmasked", "request 17")


@pytest.mark.parametrize(
    ("form", "status", "sentence"),
    [
        ({"what": "messages", "form": "csv"}, 400, "expected a reason"),
        ({"what": "everything", "form": "csv", "reason": "x"}, 400, "found everything csv"),
        ({"what": "messages", "form": "xls", "reason": "x"}, 400, "found messages xls"),
        ({"reason": "x"}, 400, "Expected conversations, messages, remarks as csv, json"),
        ({"what": "messages", "form": "csv", "reason": "x", "q": "a:b"}, 400, "Expected one of"),
    ],
)
def test_a_bad_export_is_a_sentence(
    form: dict[str, str], status: int, sentence: str, room: Conversation, erin: Client
) -> None:
    response = erin.post("/review/export/", form)
    assert response.status_code == status
    assert sentence in response.content.decode()
    assert not Access.objects.filter(action="exported").exists()


def test_an_export_is_bounded(
    room: Conversation, erin: Client, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"what": "messages", "form": "csv", "reason": "x"}
    for name, most in (("MOST_ROWS", 1), ("MOST_CONVERSATIONS", 0)):
        with monkeypatch.context() as patched:
            patched.setattr(exporting, name, most)
            response = erin.post("/review/export/", form)
        assert response.status_code == 400
        assert f"Expected at most {most}" in response.content.decode()
    monkeypatch.setattr(exporting, "_PAGE", 2)
    for number in range(5):
        more = Conversation.objects.create(user=user, title=f"More {number}")
        more.record_turn("hello", AIMessage("hi"), user=user)
    catch_up()
    assert len(rows(exported(erin, "conversations"))) == 6
    assert len(rows(exported(erin, "messages"))) == 12


@pytest.mark.django_db(transaction=True)
def test_a_bundle_is_what_the_command_writes(
    room: Conversation, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ("--name", "turnlog.example/log", "--output", str(tmp_path / "key"))
    call_command("create_signing_key", *made, stdout=(out := io.StringIO()))
    settings.TURNLOG = {"SIGNING_KEY_FILE": str(tmp_path / "key")}
    lead = client_with("lead", "review_conversation", "export_log", "reveal_personal_data")
    address = f"/review/{room.pk}/bundle/"
    response = lead.post(address, {"reason": "request 17"})
    assert response.status_code == 400  # There is no checkpoint yet.
    call_command("checkpoint_log", stdout=io.StringIO())
    assert lead.post(address).status_code == 400
    response = lead.post(address, {"reason": "request 17"})
    assert response.status_code == 200, response.content.decode()
    path = tmp_path / "bundle.jsonl"
    path.write_bytes(b"".join(response.streaming_content))  # type: ignore[arg-type]
    assert PHONE in path.read_text(encoding="utf-8")
    key = next(word for word in out.getvalue().split() if "+" in word)
    assert verify([str(path), "--key", key]) == 0
    row = Access.objects.filter(action="exported").first()
    assert row is not None
    assert (row.page, row.conversation_id, row.reason) == ("bundle", room.pk, "request 17")


def test_a_bundle_needs_both_permissions(room: Conversation, erin: Client) -> None:
    address = f"/review/{room.pk}/bundle/"
    assert erin.post(address, {"reason": "x"}).status_code == 403
    rita = client_with("rita", "review_conversation", "reveal_personal_data")
    assert rita.post(address, {"reason": "x"}).status_code == 403
    assert client_with("other").post(address, {"reason": "x"}).status_code == 404


def test_a_large_bundle_is_the_commands(
    room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_EVENTS", 2)
    lead = client_with("lead", "review_conversation", "export_log", "reveal_personal_data")
    response = lead.post(f"/review/{room.pk}/bundle/", {"reason": "x"})
    assert response.status_code == 400
    assert b"use the command export_log" in response.content


@given(st.text(st.sampled_from("=+-@\t\r\n '\"＝x1"), max_size=6))
def test_no_cell_begins_as_a_formula(text: str) -> None:
    safe = safe_cell(text)
    assert not safe.lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
    assert safe in (text, f"'{text}")


def test_scores_that_somebody_must_not_see_yet_are_not_exported(
    room: Conversation, erin: Client, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"SCORES": {"tone": ["calm", "rude"]}}
    number = queues.open_queue("Cups", by=user, reviewers=2)
    queues.fill(number, "", by=user)
    queues.complete(number, room.pk, {"tone": "rude"}, by=user, comment="a sharp word")
    for form in ("csv", "json"):
        shown = exported(erin, "remarks", form)
        assert "note" in shown
        assert "rude" not in shown
        assert "sharp" not in shown
    erins = User.objects.get(username="erin")
    queues.complete(number, room.pk, {"tone": "rude"}, by=erins)
    assert exported(erin, "remarks").count("rude") == 2
