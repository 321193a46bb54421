"""The model's server is sent exactly the picture and the files, in its protocol's own form."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.consumers.pictures import PDF, picture
from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols import responses as r
from tests.consumers.protocols.server import answering
from tests.consumers.test_socket import Client, url
from turnlog.consumers.attachments.checking import checked
from turnlog.consumers.socket.access import person_of
from turnlog.core.asynchronous import in_database_thread
from turnlog.events import uploads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_once]

DRAWN = checked("cup.jpg", picture())
JPEG, DOCUMENT = (base64.b64encode(data).decode() for data in (DRAWN.content, PDF))
TABLE = '<file name="t.csv">\na,b\n</file>\n'

PROTOCOLS: dict[str, tuple[Any, list[bytes], list[dict[str, Any]]]] = {
    "completions": (
        *(chats.completions, c.said("A cup.")),
        [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{JPEG}"}},
            {
                "type": "file",
                "file": {
                    "filename": "r.pdf",
                    "file_data": f"data:application/pdf;base64,{DOCUMENT}",
                },
            },
            {"type": "text", "text": TABLE},
        ],
    ),
    "responses": (
        *(chats.responses, r.answer(r.message(0, "A cup."))),
        [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": f"data:image/jpeg;base64,{JPEG}"},
            {
                "type": "input_file",
                "filename": "r.pdf",
                "file_data": f"data:application/pdf;base64,{DOCUMENT}",
            },
            {"type": "input_text", "text": TABLE},
        ],
    ),
    "messages": (
        *(chats.messages, m.answer(m.text("A cup."))),
        [
            {"type": "text", "text": "What is it?"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG},
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": DOCUMENT},
            },
            {"type": "text", "text": TABLE},
        ],
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_server_is_sent_the_files_now_and_in_the_next_turn(
    protocol: str, conversation: Any, user: Any
) -> None:
    make, answer, form = PROTOCOLS[protocol]
    files = DRAWN, checked("r.pdf", PDF), checked("t.csv", b"a,b")
    keep = in_database_thread(uploads.keep)
    names = [str(await keep(conversation.pk, person_of(user), **f._asdict())) for f in files]
    async with (
        answering(answer) as server,
        Client(chats.chat(make, server.url), url(conversation), user) as client,
    ):
        await client.send(user_text="What is it?", files=names)
        assert (await client.until_ended())[-1]["outcome"] == "completed"
        await client.say("And now?")
    first, second = (request.get("messages") or request["input"] for request in server.requests[:2])
    assert contents(first[-1]) == form
    assert contents(second[0]) == form
    assert len(second) == 3
    # What turnlog notes for itself is nobody else's.
    assert "attachments" not in json.dumps(server.requests)


def contents(message: Any) -> list[dict[str, Any]]:
    assert message["role"] == "user"
    return [
        {name: value for name, value in block.items() if name != "cache_control"}
        for block in message["content"]
    ]
