"""Hostile words in the review room: nothing of them runs, under a strict policy or without one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser

from .browser import watched_context
from .project import Project, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

# Of the OWASP cheat sheet's kinds: elements, attributes, addresses, SVG, broken and hidden markup,
# what templates and scripts would take for theirs, Markdown, and characters that turn text round.
HOSTILE = [
    "<script>ran()</script>",
    "</script><script>ran()</script>",
    "<ScRiPt src=data:text/javascript,ran()></sCrIpT>",
    "<img src=x onerror=ran()>",
    '"><img src=x onerror=ran()>',
    "' autofocus onfocus=ran() x='",
    '" onmouseover="ran()" style="position:fixed;inset:0" x="',
    "<svg onload=ran()><animate onbegin=ran() attributeName=x dur=1s>",
    '<svg><a xlink:href="javascript:ran()"><text>x</text></a></svg>',
    "<math><mtext></form><form><mglyph><style></math><img src onerror=ran()>",
    '<iframe srcdoc="<script>parent.ran()</script>"></iframe>',
    "<object data=javascript:ran()></object><embed src=javascript:ran()>",
    "<body onload=ran()><details open ontoggle=ran()><video src onerror=ran()>",
    '<a href="javascript:ran()">x</a><form action=javascript:ran()><button>x</button></form>',
    "<meta http-equiv=refresh content='0;url=javascript:ran()'><base href=//evil.example/>",
    "<template><script>ran()</script></template>"
    "<noscript><p title='</noscript><img src onerror=ran()>'>",
    "<!--><img src onerror=ran()>--><![CDATA[<img src onerror=ran()>]]>",
    "[x](javascript:ran()) ![x](javascript:ran()) [y](data:text/html,<script>ran()</script>)",
    "[x][1]\n\n[1]: javascript:ran() 'x'",
    '<https://x.example/"onclick=ran()> `<img src onerror=ran()>`',
    "{% load x %}{{ request.user.password }}{% include 'x' %} ${ran()}",
    "{{constructor.constructor('ran()')()}}",
    "<div hx-get=/review/ hx-trigger=load hx-on:htmx:load=ran()></div><div hx-vals='js:{x:ran()}'>",
    "\u202e<script>ran()</script>\u202c \u2066\u2067 \u200b\ufeff \u0000",
    "\ud83d\ude00 &lt;img src=x onerror=ran()&gt; &#60;script&#62;ran()&#60;/script&#62;",
]
MAKE = """
import json, sys, uuid
from django.contrib.auth import get_user_model
from langchain_core.messages import AIMessage
from turnlog.events import accesses, reviews, views
from turnlog.events.prompt import Prompt
from turnlog.models import Conversation
hostile = json.loads(HOSTILE)
every = "\\n\\n".join(hostile)
User = get_user_model()
user = User.objects.create_user("<img src=x onerror=ran()>"[:30], first_name=hostile[3][:30])
rita = User.objects.get(username="rita")
room = Conversation.objects.create(user=user, title=" ".join(hostile[:6])[:255])
prompt = Prompt(hostile[3], {hostile[4]: hostile[5]}, every, [{"name": hostile[3]}],
                previous={"messages": []})
begun = room.start_turn(every, user=user, prompt=prompt)
tools = [{"tool": each, "input": {each: each}, "output": each} for each in hostile]
tools += [{"tool": "t", "output": {"a": hostile}, "status": "error", "text": every}]
room.record_turn(every, AIMessage(every), tools, user=user, turn_id=begun.turn_id)
failed = room.start_turn(every, user=user)
room.fail_turn(failed.turn_id, error={"type": hostile[0], "text": every})
room.clear(by=user, reason=every)
for each in hostile:
    reviews.add_note(room.pk, each, by=user, quote=each)
    reviews.add_note(room.pk, each, by=user, turn_id=begun.turn_id, quote=each)
reviews.sign_off(room.pk, by=user, until=1, remark=every)
for each in hostile[:8]:
    views.save(each[:64], '"words"', by=rita)
accesses.record("exported", by=user, page=hostile[3], conversations=[room.pk],
                address=hostile[4], query=every, reason=hostile[3])
room.hold(by=user, reason=hostile[3])
print("room", room.pk)
"""


@pytest.fixture(scope="module")
def room(project: Project) -> int:
    code = MAKE.replace("HOSTILE", repr(json.dumps(HOSTILE)))
    done = project.manage("shell", "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]
    project.manage("run_projections", "--once")
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("policy", [True, False], ids=["strict policy", "no policy"])
def test_nothing_of_what_was_said_runs(
    policy: bool, browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> None:
    refused = "the server responded with a status of 4"
    with watched_context(
        browser, sessions["rita"], bypass_csp=not policy, expected=refused
    ) as context:
        # Before anything of a page: it is there to be called.
        context.add_init_script("window.ran = () => { window.has_run = true; };")
        page = context.new_page()
        dialogs: list[Any] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        for address in (
            *("", "?q=state:held", "?q=<script>ran()</script>", "?q=id:<img src onerror=ran()>"),
            *(
                "accesses/",
                "accesses/?who=<script>ran()</script>",
                "accesses/?month=<svg onload=ran()>",
            ),
            *(f"{room}/{rest}" for rest in ("", "?at=2", "?find=ran", "compare/?a=1", "given/2/")),
            *(f"{room}/events/{version}/" for version in (1, 2, 3, 4)),
            *(
                "health/",
                "health/?model=<img src onerror=ran()>",
                f"{room}/?at=<script>ran()</script>",
            ),
        ):
            page.goto(f"{server.url}/review/{address}")
            for element in page.locator("details").all()[:3]:
                element.locator("summary").first.click()
            links = page.locator("a, form, iframe, object, embed, base, [onclick], [hx-vals]")
            for link in links.all():
                for name in ("href", "action", "src", "data"):
                    where = (link.get_attribute(name) or "").strip().lower()
                    assert not where.startswith(("javascript:", "data:", "vbscript:")), address
            assert page.evaluate("() => window.has_run") is None, address
            assert page.evaluate("() => document.querySelectorAll('main script, base').length") == 0
        assert dialogs == []
