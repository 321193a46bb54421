"""A queue in the browser: two reviewers who disagree, by keys, and a lead who resolves it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .browser import watched_context
from .npm import installed
from .project import Project, Server
from .test_review import AXE

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

PHONE = {"width": 375, "height": 740}
ADDRESSES = ("queues/", "queues/1/", "1/?queue=1", "2/?queue=1")


@pytest.fixture(scope="module", autouse=True)
def worked(project: Project) -> None:
    """The worker has read the log: queues are filled from its rows."""
    project.manage("run_projections", "--once")


@pytest.fixture
def pages(browser: Browser, server: Server, sessions: dict[str, str]) -> Iterator[dict[str, Page]]:
    with ExitStack() as stack:
        opened = {}
        for name in ("rita", "rob", "lead"):
            context = stack.enter_context(watched_context(browser, sessions[name]))
            opened[name] = context.new_page()
            opened[name].goto(f"{server.url}/review/queues/")
        yield opened


def arrived(page: Page, address: str) -> None:
    """Wait until a page is there, with its scripts: before that, keys do nothing."""
    expect(page).to_have_url(re.compile(address))
    page.wait_for_load_state()


def open_queue(lead: Page) -> None:
    """Open a queue with two conversations, on the page of the queues."""
    lead.get_by_text("Open a queue").click()
    lead.get_by_label("Name").fill("Cups")
    lead.get_by_label("Reviewers for each item").fill("2")
    lead.get_by_label("Instructions").fill("Look twice.")
    lead.get_by_role("button", name="Open the queue").click()
    lead.get_by_text("Fill the queue").first.click()
    lead.get_by_label("Query").fill("id:1,2")
    lead.get_by_role("button", name="Fill the queue").click()


@pytest.fixture
def queue(pages: dict[str, Page]) -> None:
    """A queue, unless another test has opened it."""
    if not pages["lead"].get_by_role("link", name="Cups").count():
        open_queue(pages["lead"])
        expect(pages["lead"]).to_have_url(re.compile(r"/queues/1/$"))


def test_two_disagree_and_a_lead_resolves(pages: dict[str, Page], server: Server) -> None:
    rita, rob, lead = pages["rita"], pages["rob"], pages["lead"]
    expect(rita.get_by_text("Open a queue")).to_have_count(0)

    open_queue(lead)
    expect(lead.get_by_role("navigation", name="Items")).to_contain_text("pending 2")

    for page, digit in ((rita, "1"), (rob, "2")):
        page.reload()
        page.get_by_role("link", name="Cups").click()
        arrived(page, r"/queues/1/$")
        page.keyboard.press("t")
        arrived(page, r"/review/1/\?queue=1$")
        bar = page.get_by_role("region", name="Queue")
        expect(bar).to_contain_text("Look twice.")
        expect(bar).to_contain_text("item 1 of 2")
        fields = bar.locator("#review-complete [name^=score-]")
        for field in fields.all():
            expect(field).to_have_value("")
            page.keyboard.press(digit)
            expect(field).not_to_have_value("")
        bar.get_by_label("Comment").fill(f"by key {digit}")
        page.locator("h1").first.click()  # Out of the field: there, keys write.
        page.keyboard.press("c")
        arrived(page, r"/review/2/\?queue=1$")
        page.keyboard.press("[")
        arrived(page, r"/review/1/\?queue=1$")
        # Now that both could have, one sees what the other one gave, if they have.
        expect(page.locator(".review-desk")).to_contain_text(f"by key {digit}")
        expect(page.get_by_text("You have completed it.")).to_be_visible()
    expect(rob.locator(".review-desk")).to_contain_text("by key 1")

    rob.keyboard.press("]")
    arrived(rob, r"/review/2/\?queue=1$")
    rob.keyboard.press("f")
    expect(rob.get_by_label("Reason")).to_be_focused()
    rob.keyboard.type("in Latin, by f and t")
    rob.keyboard.press("Enter")
    expect(rob.get_by_role("status")).to_contain_text("nothing left for you")

    lead.reload()
    items = lead.get_by_role("navigation", name="Items")
    expect(items).to_contain_text("awaiting resolution 1")
    expect(items).to_contain_text("flagged 1")
    lead.get_by_role("link", name="awaiting resolution").click()
    lead.get_by_role("table").get_by_role("link", name="#1").click()
    arrived(lead, r"/review/1/\?queue=1$")
    expect(lead.locator(".review-desk")).to_contain_text("by key 1")
    expect(lead.locator(".review-desk")).to_contain_text("by key 2")
    for _field in lead.locator("#review-resolve [name^=score-]").all():
        lead.keyboard.press("1")
    lead.get_by_role("button", name="Resolve").click()
    expect(lead.get_by_role("region", name="Queue")).to_contain_text("completed")
    arrived(lead, r"/review/1/\?queue=1$")
    lead.keyboard.press("]")
    expect(lead.get_by_role("region", name="Queue")).to_contain_text("in Latin")
    lead.get_by_role("button", name="Put it back").click()
    expect(lead.get_by_role("region", name="Queue")).to_contain_text("pending")


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_on_a_phone_nothing_sticks_out(
    queue: None, browser: Browser, server: Server, sessions: dict[str, str], locale: str
) -> None:
    with watched_context(browser, sessions["lead"], locale=locale, viewport=PHONE) as context:
        page = context.new_page()
        for address in ADDRESSES:
            page.goto(f"{server.url}/review/{address}")
            expect(page.locator("html")).to_have_attribute("lang", locale[:2])
            width = page.evaluate("() => document.documentElement.scrollWidth")
            assert width == PHONE["width"], address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages(
    queue: None, browser: Browser, server: Server, sessions: dict[str, str], scheme: Any
) -> None:
    """By the rules of axe: nothing serious."""
    axe = (installed(*AXE) / "axe.min.js").read_text(encoding="utf-8")
    with watched_context(browser, sessions["lead"], color_scheme=scheme) as context:
        page = context.new_page()
        for address in ADDRESSES:
            page.goto(f"{server.url}/review/{address}")
            page.evaluate(axe)
            found = page.evaluate("() => axe.run().then((results) => results.violations)")
            serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
            assert serious == [], address
