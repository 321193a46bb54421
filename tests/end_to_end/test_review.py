"""The review room in the browser, as a reviewer uses it: the slider, its keys, a phone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .browser import watched_context
from .npm import installed
from .project import Project, Server
from .site.rooms import SHOWCASE

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

AXE = ("axe-core", "4.14.1")
PHONE = {"width": 375, "height": 740}
BAD_REQUEST = "the server responded with a status of 400"
PAGES = ("", "events/2/", "compare/?a=1", "given/2/", "?at=x")
"""The pages of a conversation. Its one turn does not say what the model was given."""
OTHERS = ("health/", "accesses/", "accesses/?month=x")


@pytest.fixture(scope="module", autouse=True)
def worked(project: Project) -> None:
    """The worker has read the log: the list is made of its rows."""
    project.manage("run_projections", "--once")


@pytest.fixture
def page(browser: Browser, server: Server, sessions: dict[str, str]) -> Iterator[Page]:
    # It complains if a page breaks its Content-Security-Policy.
    with watched_context(browser, sessions["rita"]) as context:
        opened = context.new_page()
        opened.goto(f"{server.url}/review/")
        yield opened


def test_from_the_list_to_a_conversation_and_back_in_time(page: Page, server: Server) -> None:
    page.get_by_role("searchbox").fill("id:1")
    page.keyboard.press("Enter")
    page.get_by_role("table").get_by_role("link").click()
    human = page.locator(".turnlog-human")
    expect(human).to_have_text(SHOWCASE[0])
    slider = page.get_by_role("slider")
    head = int(slider.get_attribute("max") or 0)
    slider.focus()
    slider.press("Home")
    expect(human).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/review/1/\?at=1$"))
    expect(slider).to_be_focused()
    slider.press("ArrowRight")
    expect(human).to_have_text(SHOWCASE[0])
    expect(page.locator(".turnlog-answer > *")).to_have_count(0)
    slider.press("Home")
    expect(human).to_have_count(0)
    page.get_by_role("button", name="Play").click()
    expect(page).to_have_url(re.compile(rf"\?at={head}$"), timeout=30_000)
    expect(page.locator(".turnlog-answer table")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.reload()
    expect(slider).to_have_value(str(head))


MANY = """
from django.contrib.auth import get_user_model
from langchain_core.messages import AIMessage
from turnlog.models import Conversation
room = Conversation.objects.create(user=get_user_model().objects.get(username="ada"))
for number in range(120):
    room.record_turn(f"question {number}", AIMessage("so"), user=room.user)
print("room", room.pk)
"""


def test_earlier_turns_come_as_one_scrolls_up(page: Page, server: Server, project: Project) -> None:
    pk = project.manage("shell", "-c", MANY).stdout.split()[-1]
    page.goto(f"{server.url}/review/{pk}/")
    turns, listed = page.locator(".review-turn"), page.locator("#review-turns li")
    expect(turns).to_have_count(50)
    page.mouse.wheel(0, 3000)
    expect(page.locator("#review-main")).to_be_visible()
    expect(turns).to_have_count(50)  # On the way down nothing is fetched.
    page.mouse.wheel(0, -20_000)
    expect(turns).to_have_count(100)
    page.get_by_role("link", name="Earlier turns").click()
    expect(turns).to_have_count(120)
    expect(listed).to_have_count(120)
    expect(page.get_by_role("link", name="Earlier turns")).to_have_count(0)
    expect(page).to_have_url(f"{server.url}/review/{pk}/")
    words = page.locator(".turnlog-human").all_inner_texts()
    assert words == [f"question {number}" for number in range(120)]
    ids = page.evaluate("() => [...document.querySelectorAll('.review-turn')].map((t) => t.id)")
    assert len(set(ids)) == 120


def test_a_note_by_keys(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/review/2/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("j")
    turn = page.locator(".review-turn").first
    expect(turn).to_be_focused()
    words = turn.locator(".turnlog-human")
    words.select_text()
    page.keyboard.press("n")
    note = turn.get_by_role("textbox", name="Note")
    expect(note).to_be_focused()
    page.keyboard.type("Is this n? j/k")  # In a field, keys write.
    expect(turn.get_by_label("Words that it is about")).to_have_value(words.inner_text())
    turn.get_by_role("button", name="Add the note").click()
    expect(page).to_have_url(re.compile(r"/review/2/#turn-\d+$"))
    remark = turn.locator(".review-remark")
    expect(remark.locator(".review-words")).to_have_text("Is this n? j/k")
    remark.get_by_role("button", name="Withdraw").click()
    expect(remark).to_have_count(0)


def test_a_conversation_is_signed_off_and_so_are_the_accesses(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/review/2/")
    page.get_by_role("button", name=re.compile("Sign off up to version")).click()
    expect(page.locator(".review-desk")).to_contain_text("reviewed up to version")
    page.goto(f"{server.url}/review/?q=reviewed:me id:2")
    expect(page.get_by_role("table").get_by_role("link")).to_have_count(1)
    page.get_by_role("link", name="Accesses").click()
    expect(page.get_by_role("table")).to_contain_text("rita")
    page.get_by_label("Remark").fill("nothing unusual")
    page.get_by_role("button", name="I have inspected these accesses").click()
    expect(page.get_by_role("listitem")).to_contain_text("nothing unusual")


def test_without_the_script_the_field_does_the_same(
    browser: Browser, server: Server, sessions: dict[str, str]
) -> None:
    with watched_context(browser, sessions["rita"], java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.url}/review/1/")
        page.get_by_label("As it was at version").fill("1")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".turnlog-human")).to_have_count(0)
        expect(page.get_by_role("slider")).to_have_count(0)


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_on_a_phone_nothing_sticks_out(
    browser: Browser, server: Server, sessions: dict[str, str], locale: str
) -> None:
    with watched_context(
        browser,
        sessions["rita"],
        locale=locale,
        viewport=PHONE,
        color_scheme="dark",
        expected=BAD_REQUEST,
    ) as context:
        page = context.new_page()
        for address in ("", *(f"1/{rest}" for rest in PAGES), *OTHERS):
            page.goto(f"{server.url}/review/{address}")
            expect(page.locator("html")).to_have_attribute("lang", locale[:2])
            expect(page.locator("body")).to_have_css("background-color", "rgb(23, 25, 24)")
            width = page.evaluate("() => document.documentElement.scrollWidth")
            assert width == PHONE["width"], address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages(
    browser: Browser, server: Server, sessions: dict[str, str], scheme: Any
) -> None:
    """By the rules of axe: nothing serious."""
    if os.environ.get("TURNLOG_WITHOUT_NPM") == "1":
        pytest.skip("TURNLOG_WITHOUT_NPM=1: no axe-core from npm")
    axe = (installed(*AXE) / "axe.min.js").read_text(encoding="utf-8")
    with watched_context(
        browser, sessions["rita"], color_scheme=scheme, expected=BAD_REQUEST
    ) as context:
        page = context.new_page()
        for address in ("", "?q=state:x", *(f"1/{rest}" for rest in PAGES), *OTHERS):
            page.goto(f"{server.url}/review/{address}")
            page.evaluate(axe)
            found = page.evaluate("() => axe.run().then((results) => results.violations)")
            serious = [
                (each["id"], [node["html"] for node in each["nodes"]])
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            assert serious == [], address
