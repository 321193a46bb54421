"""Pictures and files of people: sent beforehand, named in a message, recorded, served."""

from __future__ import annotations

import base64
import datetime as dt
import json
import types
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings
from django.urls import include, path
from django.utils import timezone
from PIL import Image

from tests.consumers.http_client import Browser, Exchange
from tests.consumers.pictures import PDF, opened, picture, saved
from tests.consumers.test_http import Chat as HttpChat
from tests.consumers.test_http import rested
from tests.consumers.test_socket import Chat, Client, get_stored
from tests.consumers.test_socket import url as socket_url
from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers.socket import addresses, files
from turnlog.consumers.socket.access import person_of
from turnlog.core.asynchronous import in_database_thread
from turnlog.events import uploads
from turnlog.events.erasure.forgetting import forget_user
from turnlog.events.models import Conversation, Upload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chats(settings: Any) -> Any:
    """A chat over a socket and one over HTTP, and the model that both have."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]

    def made(*replies: Any, **attributes: Any) -> types.SimpleNamespace:
        model = ScriptedModel(replies=list(replies), seen=[], gates={})
        here = types.SimpleNamespace(
            socket=type("SocketChat", (Chat,), {"model": model, **attributes}),
            http=type("OverHttp", (HttpChat,), {"model": model, **attributes}),
            model=model,
        )
        urls: Any = types.ModuleType("urls_with_files")
        urls.urlpatterns = [
            path("chat/<int:conversation_pk>/", here.http.as_view()),
            path("chat/", here.http.as_view()),
            path("files/", include("turnlog.consumers.attachments.urls")),
        ]
        settings.ROOT_URLCONF = urls
        return here

    return made


FILES: Any = types.ModuleType("urls_of_files")
FILES.urlpatterns = [path("files/", include("turnlog.consumers.attachments.urls"))]


def form(*files: tuple[str, str, bytes], **fields: str) -> tuple[bytes, dict[str, str]]:
    """A form's body and its header."""
    edge = "edge"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in fields.items()
    ]
    for field, name, data in files:
        about = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
        head = f"--{edge}\r\n{about}\r\nContent-Type: text/html\r\n\r\n"
        parts.append(head.encode() + data + b"\r\n")
    body = b"".join([*parts, f"--{edge}--\r\n".encode()])
    return body, {"content-type": f"multipart/form-data; boundary={edge}"}


async def sent(browser: Browser, url: str, data: bytes, name: str = "a.png") -> dict[str, Any]:
    """Send a file beforehand; what the server says of it."""
    answer = await upload(browser, url, data, name)
    told: dict[str, Any] = json.loads(await answer.body())
    assert answer.status == 201, told
    return told


async def upload(browser: Browser, url: str, data: bytes, name: str = "a.png") -> Exchange:
    body, headers = form(("file", name, data))
    return await browser.ask("POST", url, body, headers)


async def greeted(client: Client) -> dict[str, Any]:
    [*_, hello] = await client.until(lambda frame: frame.get("type") == "hello")
    return hello


async def said(client: Client, text: str, *files: str, turn_id: str = "") -> list[dict[str, Any]]:
    turn_id = turn_id or str(uuid.uuid4())
    await client.send(user_text=text, turn_id=turn_id, files=list(files))
    return await client.until(
        lambda frame: (
            (frame.get("type") == "turn" and frame["outcome"] != "open")
            or frame.get("type") in ("notice", "known")
        )
    )


def first_blocks(event: Any) -> Any:
    message = json.loads(event.payload).get("message", json.loads(event.payload))
    return message["_value"]["content"]


@in_database_thread
def waiting() -> int:
    return Upload.objects.count()


async def get_bytes(browser: Browser, url: str, **headers: str) -> tuple[Exchange, bytes]:
    answer = await browser.get(url, **headers)
    body = b""
    while (message := await answer._next()) is not None:
        body += message.get("body", b"")
    await answer.over()
    return answer, body


async def test_a_picture_is_sent_recorded_shown_and_served(
    chats: Any, conversation: Any, user: Any
) -> None:
    here = chats(["A flag."], ["Still a flag."])
    browser = Browser(user)
    async with Client(here.socket, socket_url(conversation), user) as client:
        hello = await greeted(client)
        limits = hello["files"]
        assert (limits["most"], limits["largest"]) == (10, 20 * 1024 * 1024)
        assert "image/png" in limits["accept"]
        kept = await sent(browser, limits["url"], picture("PNG"), "../flag.png")
        text = await sent(browser, limits["url"], b"a,b\n1,2\n", "t.csv")
        report = await sent(browser, limits["url"], PDF, "r.pdf")
        assert kept.items() >= {"kind": "picture", "name": "flag.png", "width": 8}.items()
        turn_id = str(uuid.uuid4())
        names = kept["id"], text["id"], report["id"]
        frames = await said(client, "What is it?", *names, turn_id=turn_id)
        again = await said(client, "What is it?", *names, turn_id=turn_id)
        assert await waiting() == 0
        await said(client, "And now?")
    assert again[-1].items() >= {"type": "known", "turn_id": turn_id}.items()

    events = await get_stored(conversation)
    started = next(event for event in events if event.type == "TurnStarted")
    blocks = first_blocks(started)
    assert [block["type"] for block in blocks] == ["text", "image", "text", "file"]
    assert blocks[0]["text"] == "What is it?"
    drawn = base64.b64decode(blocks[1]["base64"])
    assert opened(drawn).size == (8, 6)
    assert blocks[2]["text"] == '<file name="t.csv">\na,b\n1,2\n\n</file>\n'
    # The model is given them, and again in the next turn.
    first, second = here.model.seen
    assert first[-1].content == blocks == second[-3].content

    human = next(f for f in frames if f.get("role") == "user")
    assert human["content"] == "What is it?"
    at = f"{started.version}."
    assert [(f["kind"], f["name"], f["id"]) for f in human["files"]] == [
        ("picture", "flag.png", f"{at}1"),
        ("file", "t.csv", f"{at}2"),
        ("file", "r.pdf", f"{at}3"),
    ]
    shown, data = await get_bytes(browser, human["files"][0]["url"])
    assert (shown.status, data) == (200, drawn)
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert shown.headers["cache-control"] == "private, no-cache"
    assert shown.headers["content-disposition"] == 'inline; filename="flag.png"'
    tag = {"if-none-match": shown.headers["etag"]}
    assert (await get_bytes(browser, human["files"][0]["url"], **tag))[0].status == 304
    text_file, data = await get_bytes(browser, human["files"][1]["url"])
    assert (text_file.headers["content-type"], data) == ("text/plain; charset=utf-8", b"a,b\n1,2\n")
    assert text_file.headers["content-disposition"].startswith("attachment")
    report_file, data = await get_bytes(browser, human["files"][2]["url"])
    assert (report_file.headers["content-type"], data) == ("application/pdf", PDF)

    await sync_to_async(conversation.erase)(reason="request 1")
    assert (await get_bytes(browser, human["files"][0]["url"]))[0].status == 404
    await rested()


async def test_large_files_are_blobs_and_served_as_such(
    chats: Any, conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"BLOB_THRESHOLD": 1_024}
    here = chats(["Two."], ["Still."])
    noise = saved(Image.effect_noise((64, 64), 80), "PNG")
    browser = Browser(user)
    async with Client(here.socket, socket_url(conversation), user) as client:
        url = (await greeted(client))["files"]["url"]
        names = [
            (await sent(browser, url, noise, "noise.png"))["id"],
            (await sent(browser, url, b"word " * 1_000, "long.txt"))["id"],
        ]
        frames = await said(client, "", *names)
        await said(client, "And now?")
    first, second = here.model.seen
    assert first[-1].content == second[-3].content
    async with Client(here.socket, socket_url(conversation), user) as client:
        again = await client.until(lambda f: f.get("role") == "user" and "files" in f)
    live = next(f for f in frames if f.get("role") == "user")
    assert live == again[-1]
    assert live["content"] == ""
    started = next(e for e in await get_stored(conversation) if e.type == "TurnStarted")
    assert len(started.payload) < 2_000
    for file, block in zip(live["files"], first[-1].content, strict=True):
        answer, data = await get_bytes(browser, file["url"])
        assert answer.status == 200
        assert data == (
            base64.b64decode(block["base64"]) if "base64" in block else b"word " * 1_000
        )
    await rested()


async def test_only_who_sees_the_turn_is_served(
    chats: Any, django_user_model: Any, user: Any
) -> None:
    here = chats(["A flag."])
    room = await sync_to_async(Conversation.objects.create)()  # Of nobody: open to all users.
    other = await sync_to_async(django_user_model.objects.create_user)("other")
    async with Client(here.socket, socket_url(room), user) as client:
        url = (await greeted(client))["files"]["url"]
        kept = await sent(Browser(user), url, picture())
        # Another person cannot send it, even with its name.
        async with Client(here.socket, socket_url(room), other) as stranger:
            await greeted(stranger)
            [*_, notice] = await said(stranger, "mine", kept["id"])
            assert "not here any more" in notice["content"]
        frames = await said(client, "", kept["id"])
    human = next(f for f in frames if f.get("role") == "user")
    address = human["files"][0]["url"]
    assert (await get_bytes(Browser(user), address))[0].status == 200
    assert (await get_bytes(Browser(other), address))[0].status == 404
    assert (await get_bytes(Browser(), address))[0].status == 401
    other_origin = {"origin": "https://evil.example"}
    assert (await get_bytes(Browser(user), address, **other_origin))[0].status == 403
    room.user = other
    await sync_to_async(room.save)()
    assert (await get_bytes(Browser(user), address))[0].status == 404  # Asked each time.
    await rested()


async def test_a_form_over_http_may_have_its_files(
    chats: Any, conversation: Any, user: Any
) -> None:
    here = chats(["Two."])
    body, headers = form(
        ("images", "a.jpg", picture()), ("files", "b.txt", b"words"), user_text="How many?"
    )
    chat = f"/chat/{conversation.pk}/?format=json"
    answer = await Browser(user).ask("POST", chat, body, headers)
    assert answer.status == 202, await answer.body()
    await rested()
    events = await get_stored(conversation)
    blocks = first_blocks(next(event for event in events if event.type == "TurnStarted"))
    assert [block["type"] for block in blocks] == ["text", "image", "text"]
    assert len(here.model.seen) == 1
    assert await waiting() == 0

    bad, headers = form(("images", "a.jpg", b"\xff\xd8\xff no"), user_text="hm")
    refused = await Browser(user).ask("POST", chat, bad, headers)
    assert refused.status == 400
    assert "damaged" in json.loads(await refused.body())["content"]
    many, headers = form(*[("images", "a.txt", b"x")] * 11, user_text="hm")
    refused = await Browser(user).ask("POST", chat, many, headers)
    assert "11 files" in json.loads(await refused.body())["content"]
    wrong, headers = form(("photo", "a.txt", b"x"), user_text="hm")
    refused = await Browser(user).ask("POST", chat, wrong, headers)
    assert "photo" in json.loads(await refused.body())["content"]
    await rested()


async def test_what_is_refused_starts_no_turn_and_loses_nothing(
    chats: Any, conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_FILES": 2, "MAX_FILE_SIZE": 3_000}
    here = chats(["Yes."], llm_attachments=("picture", "text"))
    browser = Browser(user)
    async with Client(here.socket, socket_url(conversation), user) as client:
        url = (await greeted(client))["files"]["url"]
        for data, status, words in [
            (b"", 400, "empty"),
            (b"\x89PNG\r\n\x1a\n", 400, "damaged"),
            (PDF, 400, "reads no PDFs"),
            (b"x" * 3_001, 400, "at most"),
            (b"x" * 100_000, 413, "at most"),
        ]:
            answer = await upload(browser, url, data)
            told = json.loads(await answer.body())
            assert (answer.status, words in told["content"]) == (status, True), told
        nothing, headers = form(user_text="no file")
        answer = await browser.ask("POST", url, nothing, headers)
        assert answer.status == 400
        answer = await browser.ask("POST", url, b"{}")
        assert answer.status == 400
        assert (await browser.ask("POST", url, b"", {"content-length": ""})).status == 411
        # Without a token, and from another site.
        assert (await upload(Browser(user, None), url, b"x")).status == 403
        body, headers = form(("file", "a", b"x"))
        evil = {**headers, "origin": "https://evil.example"}
        assert (await browser.ask("POST", url, body, evil)).status == 403
        assert (await upload(browser, "/files/nonsense/", b"x")).status == 404

        one = await sent(browser, url, b"x" * 1_600, "a.txt")
        two = await sent(browser, url, b"y" * 1_600, "b.txt")
        for files, words in [
            ((one["id"], two["id"]), "These files have"),
            ((str(uuid.uuid4()),), "not here any more"),
            (("../../etc/passwd",), "not here any more"),
            (("1.0",), "not here any more"),
            ((one["id"], two["id"], "3.1"), "3 files"),
            ((one["id"], one["id"]), "twice"),
        ]:
            [*_, notice] = await said(client, "Look.", *files)
            assert (notice["type"], words in notice["content"]) == ("notice", True), notice
            assert notice["refused_turn_id"]
        assert not await get_stored(conversation)
        assert not here.model.seen
        assert await waiting() == 2
        removed = await browser.ask("DELETE", f"{url}{two['id']}/")
        assert removed.status == 204
        assert await waiting() == 1
        assert (await said(client, "", one["id"]))[-1]["outcome"] == "completed"
    await rested()


async def test_a_file_of_an_earlier_turn_is_sent_again_by_its_place(
    chats: Any, conversation: Any, user: Any
) -> None:
    here = chats([RuntimeError("busy")], ["A flag."])
    async with Client(here.socket, socket_url(conversation), user) as client:
        url = (await greeted(client))["files"]["url"]
        kept = await sent(Browser(user), url, picture("PNG"), "flag.png")
        failed = await said(client, "What?", kept["id"])
        [file] = next(f for f in failed if f.get("role") == "user")["files"]
        answered = await said(client, "And now?", file["id"])
    assert answered[-1]["outcome"] == "completed"
    first, second = here.model.seen
    assert first[-1].content[1] == second[-1].content[1]
    assert second[-1].additional_kwargs == first[-1].additional_kwargs
    await rested()


async def test_a_model_that_cannot_see_is_sent_no_picture(
    chats: Any, conversation: Any, user: Any
) -> None:
    here = chats(llm_model="claude-3-5-haiku-20241022")
    async with Client(here.socket, socket_url(conversation), user) as client:
        limits = (await greeted(client))["files"]
        assert "image" not in limits["accept"]
        answer = await upload(Browser(user), limits["url"], picture())
        assert "cannot look at pictures" in json.loads(await answer.body())["content"]
        # It was another model when the picture was sent beforehand.
        at = in_database_thread(uploads.keep)
        person = person_of(user)
        name = await at(conversation.pk, person, **PICTURE)
        [*_, notice] = await said(client, "Look.", str(name))
        assert "cannot look at pictures" in notice["content"]
    await rested()


PICTURE: dict[str, Any] = {
    "kind": "picture",
    "name": "a.png",
    "mime_type": "image/png",
    "content": picture("PNG"),
    "width": 8,
    "height": 6,
}


def test_an_address_belongs_to_one_class(conversation: Any) -> None:
    """Two chats of one name may have other rules who may enter."""
    scope = {"type": "websocket", "url_route": {"kwargs": {"conversation_pk": conversation.pk}}}
    twins = [type("Twin", (Chat,), {}) for _ in range(2)]
    tokens = []
    for kind in (*twins, Chat):
        chat = kind()
        chat.scope = scope
        with override_settings(ROOT_URLCONF=FILES):
            token = addresses.address_of(chat).split("/")[2]
        made = addresses.chat_at(token, {"type": "http"}, None)
        assert type(made) is kind
        assert made.get_conversation_pk() == str(conversation.pk)
        assert addresses.chat_at(token[:-1] + "_", {}, None) is None
        tokens.append(token)
    assert len(set(tokens)) == 3


async def test_without_the_route_there_are_no_files(
    chats: Any, conversation: Any, user: Any, settings: Any
) -> None:
    here = chats(["A flag."], ["Yes."])
    async with Client(here.socket, socket_url(conversation), user) as client:
        kept = await sent(Browser(user), (await greeted(client))["files"]["url"], picture())
        await said(client, "Look.", kept["id"])
    settings.ROOT_URLCONF = "tests.project.urls"
    async with Client(here.socket, socket_url(conversation), user) as client:
        assert (await greeted(client))["files"] is None
        human = await client.until(lambda frame: frame.get("role") == "user")
        assert human[-1]["files"][0]["url"] == ""
    await rested()


async def test_a_chat_without_a_conversation_takes_no_files(chats: Any, user: Any) -> None:
    here = chats()
    async with Client(here.socket, "/ws/chat/?format=json", user) as client:
        assert (await greeted(client))["files"] is None
        [*_, notice] = await said(client, "Look.", str(uuid.uuid4()))
        assert "takes no files" in notice["content"]
    await rested()


async def test_what_is_sent_beforehand_and_never_said_is_dropped_by_the_process(
    chats: Any, conversation: Any, user: Any, monkeypatch: Any
) -> None:
    here = chats()
    async with Client(here.socket, socket_url(conversation), user) as client:
        await sent(Browser(user), (await greeted(client))["files"]["url"], picture())
    assert not files._dropping[""].done()
    assert await waiting() == 1
    monkeypatch.setattr(uploads, "KEPT", dt.timedelta(seconds=-1))
    monkeypatch.setattr(files, "DROP_SECONDS", 0.0)
    await files._drop()
    assert await waiting() == 0
    await rested()


def keep(room: Any, person: str = "ada", size: int = 10) -> uuid.UUID:
    return uploads.keep(room.pk, person, **{**PICTURE, "content": b"x" * size})


def test_what_is_never_sent_goes_away(conversation: Any) -> None:
    kept, late = keep(conversation), keep(conversation)
    old = timezone.now() - uploads.KEPT - dt.timedelta(seconds=1)
    Upload.objects.filter(pk=late).update(kept_at=old)
    assert uploads.found(conversation.pk, "ada", [late]) is None
    assert uploads.drop_expired()
    assert [row.pk for row in Upload.objects.all()] == [kept]
    uploads.drop(conversation.pk, "ada", [kept])
    assert not uploads.drop_expired()


def test_what_waits_is_bounded(conversation: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_PERSON", 25)
    monkeypatch.setattr(uploads, "MOST", 40)
    keep(conversation), keep(conversation)
    with pytest.raises(uploads.NoRoom):
        keep(conversation)
    keep(conversation, "grace")
    with pytest.raises(uploads.NoRoom) as full:
        keep(conversation, "grace", 11)
    assert full.value.of_all


def test_guests_of_one_conversation_do_not_fill_what_those_of_another_have(
    conversation: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_PERSON", 15)
    guest = {**PICTURE, "content": b"x" * 10, "guest": True}
    for room in (conversation, Conversation.objects.create()):
        uploads.keep(room.pk, person_of(AnonymousUser()), **guest)
        with pytest.raises(uploads.NoRoom):
            uploads.keep(room.pk, person_of(AnonymousUser()), **guest)


async def test_who_is_a_guest_is_told_where_files_are_kept(chats: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_PERSON", 150)

    async def can_accept(chat: Any) -> bool:
        return True

    here = chats(can_accept=can_accept)
    for _ in range(2):
        room = await sync_to_async(Conversation.objects.create)()
        async with Client(here.socket, socket_url(room), AnonymousUser()) as client:
            url = (await greeted(client))["files"]["url"]
            await sent(Browser(), url, b"x" * 100, "a.txt")
            refused = await upload(Browser(), url, b"x" * 100, "b.txt")
            assert "Too many of your files wait" in await refused.body()
    await rested()


async def test_what_may_be_sent_may_be_an_argument_of_the_view(
    chats: Any, conversation: Any, user: Any, settings: Any
) -> None:
    here = chats(llm_attachments=())
    view = here.http.as_view(llm_attachments=("text",))
    settings.ROOT_URLCONF.urlpatterns[0] = path("chat/<int:conversation_pk>/", view)
    browser = Browser(user)
    async with browser.stream(f"/chat/{conversation.pk}/?format=json") as opened:
        hello = await opened.event()
        assert hello
        url = hello.frame["files"]["url"]
    await sent(browser, url, b"words", "a.txt")
    assert "reads no PDFs" in await (await upload(browser, url, PDF)).body()
    await rested()


def test_an_erasure_and_a_forgotten_user_take_what_waits_along(
    conversation: Any, user: Any
) -> None:
    conversation.record_turn("hello", "hi", user=user)
    keep(conversation), keep(Conversation.objects.create(), person_of(user))
    conversation.erase(reason="request 1")
    assert Upload.objects.count() == 1
    forget_user(user)
    assert not Upload.objects.exists()
