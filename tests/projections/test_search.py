"""Search: what was said is found by any part of it, and what was erased by none."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
import unicodedata
import uuid
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.core.errors import TurnInProgress, TurnlogError
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.types import MessageAppended
from turnlog.projections.engine.checking import differences, rows
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.storable import storable
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import SearchEntry
from turnlog.projections.search import index as search_index
from turnlog.projections.search.query import MAX_QUERY, SearchError, terms_of
from turnlog.projections.search.texts import normalised, text_of

[SEARCH] = named(["search"])


def catch_up() -> None:
    Worker([SEARCH]).catch_up()


def texts(entries: Any) -> list[str]:
    return [entry.text for entry in entries]


def insert(room: Conversation, said: list[str]) -> None:
    """Entries without events, for what is about searching alone."""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    SearchEntry.objects.bulk_create(
        SearchEntry(
            conversation=room,
            version=version,
            role="human",
            text=storable(text),
            normalised=normalised(text),
            created_at=at + dt.timedelta(seconds=version),
        )
        for version, text in enumerate(said, 1)
    )


# Few characters, so that texts and queries meet: Korean, both cases, what is written in several
# ways, and everything that means something to LIKE, to FTS5, to SQL or to a Unicode table.
LETTERS = "환불을안녕가각aAbBßſİéÅ漢😀 \t\n%_\\\"'*^-+:(){}~|&,.\0\ud800"
WORDS = st.text(st.sampled_from(LETTERS), max_size=12)
FORMS = st.sampled_from(["NFC", "NFD"])
SAID = st.lists(st.builds(unicodedata.normalize, FORMS, WORDS), min_size=1, max_size=6)
QUERIES = st.builds(unicodedata.normalize, FORMS, st.text(st.sampled_from(LETTERS), max_size=6))


class FindsWhatIsThere(TestCase):
    """The index finds exactly the texts that the query's words are in."""

    def setUp(self) -> None:
        self.room = Conversation.objects.create()

    def search(self, query: str, said: list[str]) -> None:
        try:
            terms = terms_of(query)
        except SearchError:
            assert not normalised(query).strip('" ')
            return
        wanted = {n for n, text in enumerate(said, 1) if all(t in normalised(text) for t in terms)}
        found = SearchEntry.objects.search(query).values_list("version", flat=True)
        assert list(found) == sorted(wanted, reverse=True)

    @given(SAID, QUERIES)
    def test_whatever_is_asked(self, said: list[str], query: str) -> None:
        insert(self.room, said)
        self.search(query, said)

    @given(SAID, st.data())
    def test_any_part_of_what_was_said(self, said: list[str], data: st.DataObject) -> None:
        insert(self.room, said)
        text = data.draw(st.sampled_from(said))
        start = data.draw(st.integers(0, len(text)))
        self.search(text[start : data.draw(st.integers(start, len(text)))], said)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "record", "finish", "fail", "late", "same", "clear", "erase", "work", "fork"]
        ),
        st.integers(0, 1),
        st.sampled_from(["환불", "환불 규정", "Refund", "", "\0"]),
    ),
    max_size=20,
)


class TheLaw(TestCase):
    """However the worker's batches fall, the rows are those of a rebuild."""

    def setUp(self) -> None:
        self.first = [Conversation.objects.create() for _ in range(2)]

    @given(ACTIONS, st.integers(1, 9))
    def test_incremental_is_rebuilt(self, actions: list[Any], batch: int) -> None:
        # A fork takes its parent's place, until the next example.
        self.rooms = list(self.first)
        self.open: list[list[tuple[uuid.UUID, str]]] = [[], []]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("turnlog.projections.engine.worker.BATCH", batch)
            for action in actions:
                self.act(*action)
            catch_up()
        streams = list(Conversation.objects.values_list("pk", flat=True))
        assert differences(SEARCH, streams) == {}
        incremental = rows(SEARCH, streams)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("turnlog.projections.engine.reading.PAGE", batch)
            rebuild_chunk(SEARCH, streams)
        assert differences(SEARCH, streams) == {}
        for stream in streams:
            assert _sorted(rows(SEARCH, [stream])[stream]) == _sorted(incremental[stream])
        assert sorted(texts(SearchEntry.objects.search("환"))) == sorted(
            text for text in texts(SearchEntry.objects.all()) if "환" in text
        )

    def act(self, action: str, number: int, text: str) -> None:
        room, turns = self.rooms[number], self.open[number]
        if action == "start":
            try:
                turns.append((room.start_turn(text).turn_id, text))
            except TurnInProgress:
                return
        elif action == "record":
            room.record_turn(text, AIMessage(text))
        elif action == "clear":
            room.clear()
        elif action == "fork":
            self.rooms[number] = room.fork() if self._has_events(room) else room
            self.open[number] = []
        elif action == "work":
            Worker([SEARCH]).turn()
        elif action == "erase":
            events = Event.objects.filter(stream_id=room.pk, turn_id__isnull=False)
            if (last := events.order_by("version").last()) is not None:
                with suppress(TurnInProgress):
                    room.erase([last.turn_id], reason="request 7")
        elif turns:
            self.end(action, room, *turns.pop(), text)

    def end(self, action: str, room: Any, turn_id: Any, asked: str, text: str) -> None:
        if action == "fail":
            room.fail_turn(turn_id, "failed", ai_message=AIMessage(text))
            return
        if action in ("late", "same"):
            room.fail_turn(turn_id, "interrupted", ai_message=AIMessage(text))
        answer = text if action == "same" else f"{text}!"
        if action == "finish":
            asked = f"{asked}?"
        room.record_turn(asked, AIMessage(answer), turn_id=turn_id)

    def _has_events(self, room: Any) -> bool:
        return Event.objects.filter(stream_id=room.pk).exists()


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: row["version"])


pytestmark = pytest.mark.django_db


# What is kept


def test_each_utterance_is_kept_once(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("환불 되나요?", user=user)
    catch_up()
    conversation.record_turn("환불 되나요?", AIMessage("네."), user=user, turn_id=turn.turn_id)
    catch_up()
    found = SearchEntry.objects.order_by("version")
    kept = [(e.version, e.role, e.text, e.user, e.turn_id) for e in found]
    assert kept == [
        (2, "human", "환불 되나요?", user, turn.turn_id),
        (4, "ai", "네.", user, turn.turn_id),
    ]


def test_other_words_in_the_end_are_kept_too(conversation: Any) -> None:
    turn = conversation.start_turn("one")
    conversation.record_turn("two", AIMessage("three"), turn_id=turn.turn_id)
    catch_up()
    assert texts(SearchEntry.objects.order_by("version")) == ["one", "two", "three"]


def test_words_of_failed_turns_are_kept(conversation: Any) -> None:
    turn = conversation.start_turn("and then?")
    conversation.fail_turn(turn.turn_id, "cancelled", ai_message=AIMessage("Then the"))
    catch_up()
    assert texts(SearchEntry.objects.search("then")) == ["Then the", "and then?"]


def test_only_people_and_models_speak(conversation: Any) -> None:
    data = MessageAppended({"_type": "FutureMessage", "_value": {"content": "future"}})
    system = MessageAppended({"_type": "SystemMessage", "_value": {"content": "be kind"}})
    silence = MessageAppended({"_type": "AIMessage", "_value": {"content": ""}})
    append(conversation.pk, [NewEvent(data), NewEvent(system), NewEvent(silence)])
    catch_up()
    assert not SearchEntry.objects.exists()


def test_only_text_parts_are_text(conversation: Any) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "What is "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
        {"type": "text", "text": "this", "_type": "a key of their own"},
        "?",
    ]
    conversation.record_turn(HumanMessage(parts), AIMessage("한 쌍\ud83d\ude00\0"))
    catch_up()
    assert texts(SearchEntry.objects.order_by("version")) == ["What is this?", "한 쌍���"]
    assert SearchEntry.objects.search("base64").count() == 0


@pytest.mark.parametrize(
    "document",
    [None, 3, [], {}, {"_value": None}, {"_value": {"content": {"_type": "Gone", "_value": 1}}}],
)
def test_what_has_no_text_is_no_text(document: Any) -> None:
    assert text_of(document) == ""


def test_a_fork_is_searched_on_its_own(conversation: Any, user: Any) -> None:
    conversation.record_turn("before", AIMessage("the fork"), user=user)
    forked = conversation.fork()
    catch_up()
    assert SearchEntry.objects.search("fork").count() == 2
    assert texts(SearchEntry.objects.search("fork").filter(conversation=forked)) == ["the fork"]


# What is found


def test_newest_first_and_chainable(conversation: Any, user: Any) -> None:
    other = Conversation.objects.create()
    conversation.record_turn("환불 one", AIMessage("two"), user=user)
    other.record_turn("환불 three", AIMessage("환불 four"))
    catch_up()
    found = SearchEntry.objects.search("환불")
    assert texts(found) == ["환불 four", "환불 three", "환불 one"]
    assert texts(found.filter(conversation=conversation)) == ["환불 one"]
    assert texts(SearchEntry.objects.filter(role="ai").search("환불")) == ["환불 four"]
    assert texts(found.of(user)) == ["환불 one"]
    assert texts(found.of(AnonymousUser())) == texts(found.of(None)) == texts(found[:2])
    assert found.search("three").get().role == "human"
    user.delete()
    assert texts(found.of(None)) == ["환불 four", "환불 three"]  # Not the deleted user's.


def test_listed_leaves_out_what_is_not_in_the_message_list(conversation: Any) -> None:
    lonely = MessageAppended({"_type": "HumanMessage", "_value": {"content": "word alone"}})
    conversation.record_turn("word cleared", AIMessage("ok"))
    append(conversation.pk, [NewEvent(lonely)])
    conversation.clear()
    turn = conversation.start_turn("word failed")
    conversation.fail_turn(turn.turn_id)
    conversation.record_turn("word listed", AIMessage("ok"))
    append(conversation.pk, [NewEvent(lonely)])
    catch_up()
    assert SearchEntry.objects.search("word").count() == 5
    assert texts(SearchEntry.objects.search("word").listed()) == ["word alone", "word listed"]


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("환불", ["환불"]),
        (" A  b\n", ["a", "b"]),
        ('"In time" please', ["in time", "please"]),
        ('"unfinished business', ['"unfinished', "business"]),
        ('5" or 6"', ['5"', "or", '6"']),
        ('say"a b"', ['say"a', 'b"']),
        ('""', ['""']),
        ('" a " a', ["a"]),
        ("100% _x\\ NOT a* (b) ^d", ["100%", "_x\\", "not", "a*", "(b)", "^d"]),
        (unicodedata.normalize("NFD", "규정"), ["규정"]),
        ("STRASSE Straße", ["strasse"]),
    ],
)
def test_how_a_query_is_read(query: str, terms: list[str]) -> None:
    assert terms_of(query) == terms


@pytest.mark.parametrize("query", ["", " \n", '" "'])
def test_nothing_is_not_searched_for(query: str) -> None:
    with pytest.raises(SearchError, match="expected a word to search for, found none"):
        SearchEntry.objects.search(query)


def test_too_much_is_not_searched_for() -> None:
    assert terms_of("x" * MAX_QUERY)
    with pytest.raises(SearchError, match=r"at most 1000 characters, found 1001") as caught:
        SearchEntry.objects.search("x" * (MAX_QUERY + 1))
    assert isinstance(caught.value, TurnlogError)
    assert isinstance(caught.value, ValueError)


def test_the_longest_queries_are_answered(conversation: Any) -> None:
    insert(conversation, ["ㄱ".join(map(chr, range(0xAC00, 0xAC00 + 700))), "나"])
    words = " ".join(map(chr, range(0xAC00, 0xAC00 + 500)))
    assert SearchEntry.objects.search(words).count() == 1
    assert SearchEntry.objects.search("ㄱ".join(words.split())).count() == 1


# By the index


def fill(room: Conversation, number: int = 5000) -> None:
    insert(room, [f"발화 {n}번, 배송은 {n * 7919 % 10007} 언제 오나요?" for n in range(number)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE turnlog_search")


@pytest.mark.postgresql
@pytest.mark.parametrize("query", ["환불", "불", "refund", "환불 규정", "배송", "발"])
def test_postgresql_uses_its_index(conversation: Any, query: str) -> None:
    fill(conversation)
    insert(Conversation.objects.create(), ["환불 규정"])
    plan = SearchEntry.objects.search(query)[:20].explain()
    assert "Bitmap Index Scan on turnlog_search_grams" in plan


@pytest.mark.postgresql
def test_long_texts_are_taken_apart_in_linear_time(conversation: Any) -> None:
    text = "".join(random.Random(7).choices([chr(0xAC00 + n) for n in range(2000)], k=32_768))
    grams = set(text) | set(map("".join, pairwise(text)))

    def seconds() -> float:
        begun = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT turnlog_grams(%s)", [text])
            assert set(cursor.fetchone()[0]) == grams
        return time.perf_counter() - begun

    # With substr(), which counts from the beginning each time, it takes seconds.
    assert min(seconds() for _ in range(3)) < 0.5
    insert(conversation, ["가나" * 16_384])
    assert SearchEntry.objects.search("나가").count() == 1


@pytest.mark.postgresql
def test_postgresql_keeps_no_samples_of_what_was_said(conversation: Any) -> None:
    fill(conversation, 500)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_stats WHERE tablename IN ('turnlog_search',"
            " 'turnlog_search_grams')"
        )
        columns = {name for (name,) in cursor.fetchall()}
    assert "created_at" in columns
    assert not columns & {"text", "normalised", "turnlog_grams"}


@pytest.mark.sqlite
def test_sqlite_uses_its_index_from_three_characters_on(conversation: Any) -> None:
    fill(conversation, 50)
    assert "VIRTUAL TABLE INDEX" in SearchEntry.objects.search("배송은").explain()
    assert "VIRTUAL TABLE INDEX" not in SearchEntry.objects.search("배송").explain()


@pytest.mark.sqlite
def test_sqlite_without_an_index_reads_every_row(conversation: Any) -> None:
    with connection.cursor() as cursor:
        _drop_index(cursor)
    insert(conversation, ["환불 규정"])
    assert SearchEntry.objects.search("불 규").count() == 1
    search_index.forget_deleted(connection)


@pytest.mark.sqlite
def test_sqlites_index_is_made_again_with_what_it_missed(conversation: Any) -> None:
    with connection.cursor() as cursor:
        _drop_index(cursor)
        insert(conversation, ["환불 규정", "교환 규정"])
        search_index.install(connection)
        search_index.install(connection)
        SearchEntry.objects.filter(version=1).delete()
        SearchEntry.objects.filter(version=2).update(normalised="반품 규정")
        cursor.execute("SELECT rowid FROM turnlog_search_fts WHERE turnlog_search_fts MATCH '규정'")
        assert cursor.fetchall() == []  # Two characters are no trigram.
        for words, found in (("환불 규정", 0), ("교환 규정", 0), ("반품 규정", 1)):
            cursor.execute(
                "SELECT rowid FROM turnlog_search_fts WHERE turnlog_search_fts MATCH %s",
                [f'"{words}"'],
            )
            assert len(cursor.fetchall()) == found
        cursor.execute(
            "INSERT INTO turnlog_search_fts (turnlog_search_fts) VALUES ('integrity-check')"
        )


def _drop_index(cursor: Any) -> None:
    for name in ("insert", "delete", "update"):
        cursor.execute(f"DROP TRIGGER turnlog_search_fts_{name}")
    cursor.execute("DROP TABLE turnlog_search_fts")


# Erasure


def test_erased_words_are_gone(conversation: Any) -> None:
    conversation.record_turn("before", AIMessage("it"))
    turn = conversation.start_turn("뷁쀍쓟 secret")
    catch_up()
    conversation.record_turn("뷁쀍쓟 secret", AIMessage("뷁쀍쓟, you say"), turn_id=turn.turn_id)
    catch_up()
    conversation.record_turn("after", AIMessage("it"))
    catch_up()
    assert SearchEntry.objects.search("뷁쀍쓟").count() == 2
    assert "뷁".encode() in _stored_bytes()
    conversation.erase([turn.turn_id], reason="request 7")
    assert SearchEntry.objects.search("뷁").count() == 0
    for letter in "뷁쀍쓟":
        assert letter.encode() not in _stored_bytes()
    assert texts(SearchEntry.objects.order_by("version")) == ["before", "it", "after", "it"]
    assert differences(SEARCH, [conversation.pk]) == {}
    conversation.record_turn("뷁쀍쓟 again", AIMessage("ok"))
    catch_up()
    assert SearchEntry.objects.search("뷁쀍쓟").count() == 1


def _stored_bytes() -> bytes:
    """All that the table and, on SQLite, the index's own tables hold."""
    found = "".join(f"{e.text} {e.normalised}" for e in SearchEntry.objects.all()).encode()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT block FROM turnlog_search_fts_data")
            found += b"".join(bytes(block) for (block,) in cursor.fetchall())
            cursor.execute("SELECT term FROM turnlog_search_fts_idx")
            found += b"".join(_bytes(term) for (term,) in cursor.fetchall())
    return found


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


# People who go


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_meanwhile_stops_no_worker(conversation: Any, user: Any) -> None:
    conversation.record_turn("hello", AIMessage("hi"), user=user)
    begun = threading.Event()

    def delete() -> None:
        begun.set()
        user.delete()
        connection.close()

    thread = threading.Thread(target=delete)
    original = SEARCH.apply

    def apply(events: Any) -> None:
        original(events)
        thread.start()
        begun.wait(30)
        time.sleep(0.2)  # Time to be refused, or to wait; either way the rows are right.

    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(SEARCH, "apply", apply)
        catch_up()
    thread.join()
    assert list(SearchEntry.objects.values_list("user", flat=True)) == [None, None]
    assert differences(SEARCH, [conversation.pk]) == {}


# The admin


def test_the_admin_searches_by_words(admin_client: Any, conversation: Any) -> None:
    conversation.record_turn("환불 <b> 규정", AIMessage("no"))
    catch_up()

    def page(query: str) -> str:
        response = admin_client.get(f"/admin/turnlog_projections/searchentry/{query}")
        assert response.status_code == 200
        text: str = response.content.decode()
        return text

    for query in ("", "?q=규정+환불", "?q=%3CB"):
        assert "환불 &lt;b&gt; 규정" in page(query).partition("result_list")[2]
    assert "환불" not in page("?q=교환").partition("result_list")[2]
    assert "at most 1000 characters" in page("?q=" + "x" * 1001)
    pk = SearchEntry.objects.get(role="human").pk
    assert "<pre>환불 &lt;b&gt; 규정</pre>" in page(f"{pk}/change/")
