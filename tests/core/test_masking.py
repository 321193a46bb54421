"""Masking: no value survives, nothing else changes, and equal values have one placeholder."""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.core.checks import run_checks
from hypothesis import assume, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from PIL import Image

from turnlog.core import codec
from turnlog.core.codec.encoded import Encoded
from turnlog.core.errors import ConfigurationError
from turnlog.core.masking import numbers
from turnlog.core.masking.documents import WITHHELD, masked, masked_text
from turnlog.core.masking.finding import find
from turnlog.core.masking.masker import Masker

MASKER = Masker(7)

# Values of each kind, spelled in ways that people write them.
VALUES = {
    "email": (
        "ada@example.com|Ada.Lovelace+x@mail.example.co.kr|jürgen@müller.de|김철수@예시.한국"
        '|ada＠example.com|a\u200bda@exam\u200bple.com|"a b"@example.com'
    ),
    "phone": (
        "010-1234-5678|01012345678|010 1234 5678|010.1234.5678|(010) 1234-5678|02-123-4567"
        "|02)1234-5678|031-123-4567|070-1234-5678|0505-123-4567|+82 10-1234-5678|+821012345678"
        "|+82-2-123-4567|+82 (0)10 1234 5678|0082 10 1234 5678|82-10-1234-5678|+1 555 123 4567"
        "|(555) 123-4567|+44 20 7946 0958|020 7946 0958|+49 30 901820|０１０－１２３４－５６７８"
        "|010–1234–5678|010\u200b1234\u00ad5678|0 1 0 1 2 3 4 5 6 7 8|٠١٠-١٢٣٤-٥٦٧٨"
    ),
    "card": (
        "4111111111111111|4111 1111 1111 1111|4111-1111-1111-1111|378282246310005"
        "|3782 822463 10005|5555555555554444|6011000990139424|3530111333300000|4222222222222"
        "|30569309025904|４１１１ １１１１ １１１１ １１１１|411 111 111 111 111 1"
    ),
    "rrn": (
        "900101-1234567|9001011234567|900101 1234567|011231-3234567|900101-5234567"
        "|９００１０１－１２３４５６７|900101\u200b-\u200b1234567"
    ),
    "ip": "203.0.113.7|192.168.0.10|2001:db8::8a2e:370:7334|fe80::1ff:fe23:4567:890a",
    "secret": (
        "sk-proj-abcdefghijklmnop1234|AKIAIOSFODNN7EXAMPLE|ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2"
        "|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0"
        "|sk_live_abcdefghijklmnop1234|xoxb-123456789012-abcdefghij"
        "|AIzaaB3_-aB3_-aB3_-aB3_-aB3_-aB3_-aB3_-"
    ),
}
ALL = [(kind, value) for kind, values in VALUES.items() for value in values.split("|")]

# What may stand beside a value. Digits and what joins digits would make it another value.
BESIDE = ["", "\n", " ", ": ", ", ", "<", '"', "'", "(", "※ ", "→", "| ", "`"]
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def digits_of(text: str) -> str:
    return re.sub(r"\D", "", text)


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, str, str]:
    """Return a kind, a value and a text that has it."""
    kind, value = draw(st.sampled_from(ALL))
    before, after = draw(AROUND), draw(AROUND)
    left, right = draw(st.sampled_from(BESIDE)), draw(st.sampled_from(BESIDE))
    # A letter of the text's own would belong to an address or a key, a digit to a number.
    before = before + "\n" if not left.strip() else before + left
    after = "\n" + after if not right.strip() else right + "\n" + after
    return kind, value, f"{before}{value}{after}"


@given(planted())
def test_no_planted_value_survives(found: tuple[str, str, str]) -> None:
    _, value, text = found
    shown = MASKER.text(text)
    assert value not in shown
    if len(digits_of(value)) > 7:
        assert digits_of(value) not in digits_of(shown)


@pytest.mark.parametrize(("kind", "value"), ALL)
def test_a_value_is_found_as_what_it_is(kind: str, value: str) -> None:
    for text in (value, f"그건 {value}로", f"({value})", f"{value}, {value}.", f"**{value}**"):
        if kind in ("ip", "secret") and "로" in text:
            text = text.replace("로", " 로")
        assert {each.kind for each in find(text)} == {kind}, text


@given(planted())
def test_masking_twice_is_masking_once(found: tuple[str, str, str]) -> None:
    once = MASKER.text(found[2])
    assert MASKER.text(once) == once


NUMBERS = st.lists(
    st.one_of(st.sampled_from([value for _, value in ALL]), st.integers(0, 10**6).map(str)),
    max_size=12,
)


@given(NUMBERS, st.sampled_from([" ", "-", ".", ", ", " - ", "\n", "/", ""]))
def test_masking_twice_is_masking_once_among_numbers(parts: list[str], between: str) -> None:
    once = MASKER.text(between.join(parts))
    assert MASKER.text(once) == once


@given(st.text(st.characters(categories=["L", "Zs", "Zl"]) | st.sampled_from(",;?!'\"\n")))
def test_a_text_without_personal_data_stays_as_it_is(text: str) -> None:
    assert MASKER.text(text) == text
    assert masked(text, MASKER) == text


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-15 10:30:45.123456",
        "2024-01-15T10:30:45+09:00 - 2024-02-15T10:30:45Z",
        "20240115103045",
        "1712345678901",
        "0.4111111111111111 3.1415926535897932",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
        "2019 2020 2021 2022 2023 2024",
        "1,234,567,890,123 won",
        "ISBN 978-3-16-148410-0",
        "550e8400-e29b-41d4-a716-446655440000",
        "12:34:56 std::vec::Vec a::b 127.0.0.1 ::1 v1.2.3 300.1.1.1 1.2.3.4.5",
        "foo@latest @ada a@b x@1.2.3",
        "task-management-service-name sk-short bearer of news",
        "991301-1234567 900101-9234567",
        "1588-1234 page 12-34 §3.4",
        "4111 1111 1111 1112",
    ],
)
def test_what_only_looks_like_it_stays_as_it_is(text: str) -> None:
    assert MASKER.text(text) == text


SAME = [
    [
        "010-1234-5678",
        "01012345678",
        "+82 10 1234 5678",
        "０１０－１２３４－５６７８",
        "0082 10-1234-5678",
    ],
    ["02-123-4567", "+82 2 123 4567", "(02) 123-4567"],
    ["ada@example.com", "ADA@Example.com", "ada＠example.com"],
    ["4111111111111111", "4111-1111-1111-1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"],
    ["900101-1234567", "9001011234567"],
    ["2001:db8::1", "2001:0DB8:0:0::0001"],
    ["(555) 123-4567", "+1 555-123-4567"],
]


@pytest.mark.parametrize("spellings", SAME)
def test_equal_values_have_equal_placeholders(spellings: list[str]) -> None:
    assert len({MASKER.text(spelling) for spelling in spellings}) == 1
    # On any page, in any process: it depends on nothing that was seen before.
    assert {Masker(7).text(f"it is {spelling}") for spelling in spellings[::-1]} == {
        f"it is {MASKER.text(spellings[0])}"
    }


def test_different_conversations_have_different_placeholders(settings: Any) -> None:
    value = "010-1234-5678"
    shown = {Masker(pk).text(value) for pk in range(1, 200)}
    assert len(shown) == 199
    settings.TURNLOG = {"TENANT": "tests.core.test_masking.tenant"}
    assert Masker(7).text(value) not in shown
    settings.TURNLOG = {}
    settings.SECRET_KEY = "another"  # Nobody who does not know it can try all numbers.
    assert Masker(7).text(value) not in shown


def tenant() -> str:
    return "acme"


def test_different_values_have_different_placeholders() -> None:
    shown = {MASKER.text(f"010-{n:04}-5678") for n in range(1000)}
    assert len(shown) == 1000


def test_placeholders_are_in_the_readers_language(settings: Any) -> None:
    code = re.fullmatch(r"\[phone ([a-z]{6})\]", MASKER.text("010-1234-5678"))
    assert code
    settings.LANGUAGE_CODE = "ko"
    assert MASKER.text("010-1234-5678") == f"[전화 {code[1]}]"


@given(planted(), st.data())
def test_pieces_of_a_text_are_masked_together(found: tuple[str, str, str], data: Any) -> None:
    text = found[2]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    joined = MASKER.joined(pieces)
    assert len(joined) == len(pieces)
    assert "".join(joined) == MASKER.text(text)


@given(planted(), st.data())
def test_places_in_a_text_are_kept(found: tuple[str, str, str], data: Any) -> None:
    text = found[2]
    place = data.draw(st.integers(0, len(text)))
    spans = find(text)
    assume(not any(each.start < place < each.end for each in spans))
    [moved] = MASKER.places(text, [place])
    assert MASKER.text(text)[:moved] == MASKER.joined([text[:place], text[place:]])[0]


# Documents

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    planted().map(lambda found: found[2]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """The containers of a document, without what they say."""
    if isinstance(value, list | tuple):
        return [type(value), *map(shape, value)]
    if isinstance(value, dict):
        return [dict, *map(shape, value.values())]
    return None


@given(TREES)
def test_documents_keep_their_structure(value: Any) -> None:
    back = codec.decode(masked(codec.encode(value), MASKER))
    assert shape(back) == shape(value)


PHONE, MAIL, CARD = "010-1234-5678", "ada@example.com", 4111111111111111
OBJECTS: dict[str, Any] = {
    "keys": {PHONE: 1, "01012345678": 2, (1,): MAIL},
    "sets": ({PHONE, "01012345678"}, frozenset({MAIL})),
    "human": HumanMessage([{"type": "text", "text": "call 010-12"}, "34-5678", MAIL]),
    "ai": AIMessage(PHONE, tool_calls=[{"name": "dial", "args": {"to": PHONE}, "id": "1"}]),
    "tool": ToolMessage(MAIL, tool_call_id="1", artifact={"row": [CARD]}),
    "frame": pd.DataFrame({"who": [MAIL, "x"], "card": [CARD, 1], PHONE: [0.5, None]}),
    "categories": pd.DataFrame({"who": pd.Series([MAIL, "x"], dtype="category")}),
    "nullable": pd.DataFrame({"card": pd.Series([CARD, None], dtype="Int64")}),
    "series": pd.Series([821012345678.0, float("nan")]),
    "index": pd.DataFrame({"a": [1]}, index=[PHONE]),
    "texts": np.array([MAIL, "x"]),
    "objects": np.array([MAIL, CARD], dtype=object),
    "scalar": np.int64(CARD),
    "bytes": [MAIL.encode(), bytearray(MAIL.encode()), np.bytes_(MAIL)],
    "picture": Image.new("RGB", (2, 2)),
    "numbers": [CARD, float(CARD), 9001011234567, 1012345678],
    "halves": "\ud83d" + "\ude00" + PHONE,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_masked_document_can_be_read_and_says_nothing(name: str) -> None:
    document = codec.encode(OBJECTS[name])
    for given_ in (document, Encoded(codec.to_json(document))):
        shown = masked(given_, MASKER)
        text = codec.to_json(shown)
        for value in (PHONE, "01012345678", MAIL, str(CARD), "9001011234567", "1012345678"):
            assert value not in text
            assert value not in str(codec.decode(shown))
        assert base64.b64encode(MAIL.encode()).decode() not in text
    assert masked(shown, MASKER) == shown


def test_numbers_that_are_none_of_these_stay() -> None:
    for value in (True, None, 7, -3, 1700000000, 1712345678901, 1.5e300, 4111111111111112):
        assert masked(value, MASKER) is value
    array = codec.encode(np.arange(6).reshape(2, 3).T)
    assert masked(array, MASKER) == array


def test_what_nests_deeply_is_masked_or_withheld() -> None:
    deep: Any = PHONE
    for _ in range(50_000):
        deep = [deep]
    shown = masked(deep, MASKER)
    while isinstance(shown, list):
        [shown] = shown
    assert shown == MASKER.text(PHONE)
    for text in ("[" * 100_000 + "]" * 100_000, json.dumps("x" * 1_000_001)):
        assert masked_text(text, MASKER) is None
        assert masked(Encoded(text), MASKER) == WITHHELD
    assert masked_text(f"no JSON: {PHONE}", MASKER) == f"no JSON: {MASKER.text(PHONE)}"


def test_what_is_base64_is_withheld() -> None:
    url = "data:image/png;base64," + "iVBORw0KGgo" * 50
    shown = masked({"type": "image_url", "image_url": {"url": url}}, MASKER)
    assert shown == {"type": "image_url", "image_url": {"url": WITHHELD}}


# Cost


def steps_of(work: Callable[[], Any]) -> int:
    """How many lines of Python run."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


HOSTILE = [
    *("1", "0", "1 ", "01 ", "010 ", "4111 ", "82 ", "00 1", "+1", "(1", "1.", "1.1", "12-", "1/"),
    *(
        "@",
        "a@",
        "a@b.",
        '"@a.bc',
        "@a.a",
        ":",
        "a:",
        "ab12:",
        "eyJ",
        "eyJaaaaaaaa.",
        "sk-",
        "://a:",
    ),
    *("bearer ", "-----BEGIN PRIVATE KEY-----", "1\u200b", "010-1234-5678 ", "4111111111111111 "),
    *("900101-", "가", "１", "\u200b", "x" * 97 + "@", "a.b@c."),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_text_takes_steps_in_proportion_to_its_length(unit: str) -> None:
    short, long = (
        steps_of(lambda size=size: MASKER.text(unit * (size // len(unit))))  # type: ignore[misc]
        for size in (4_000, 16_000)
    )
    assert long <= 4.5 * short + 2_000


def test_a_pattern_looks_at_each_character_a_bounded_number_of_times() -> None:
    # What a regular expression does in C is seen by where its matches begin and end.
    text = "1 " * 50_000
    assert [found.span() for found in numbers._RUN.finditer(text)] == [(0, len(text) - 1)]


# Settings


def found_by(text: str) -> Iterator[tuple[int, int, str]]:
    for found in re.finditer("Ada", text):
        yield found.start(), found.end(), "person"


def raises(text: str) -> Any:
    raise RuntimeError(text)


def nonsense(text: str) -> Any:
    return [(0, len(text) + 1, "person")]


def no_kind(text: str) -> Any:
    return [(0, 1, "<b>")]


def test_patterns_and_a_function_of_the_projects_own(settings: Any) -> None:
    settings.TURNLOG = {
        "MASKED_KINDS": ["phone"],
        "MASKED_PATTERNS": {"employee": r"EMP-\d{4}"},
        "FIND_PERSONAL_DATA": "tests.core.test_masking.found_by",
    }
    shown = MASKER.text("Ada (EMP-１234) has 010-1234-5678 and ada@example.com")
    assert re.fullmatch(
        r"\[person \w{6}\] \(\[employee \w{6}\]\) has \[phone \w{6}\] and ada@example.com", shown
    )


def test_a_pattern_of_the_projects_own_finds_small_numbers_too(settings: Any) -> None:
    assert masked([123456], MASKER) == [123456]
    settings.TURNLOG = {"MASKED_PATTERNS": {"employee": r"\b1\d{5}\b"}}
    assert masked([123456, 223456], MASKER) == [MASKER.text("123456"), 223456]
    assert MASKER.text("123456").startswith("[employee ")


@pytest.mark.parametrize("name", ["raises", "nonsense", "no_kind"])
def test_if_the_function_fails_the_text_is_masked_entirely(
    name: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TURNLOG = {"FIND_PERSONAL_DATA": f"tests.core.test_masking.{name}"}
    with caplog.at_level(logging.ERROR, "turnlog"):
        shown = MASKER.text("the secret of Ada")
        assert re.fullmatch(r"\[text \w{6}\]", shown)
        assert "Ada" not in str(masked({"Ada": ["Ada"]}, MASKER))
    assert "Ada" not in caplog.text
    assert "FIND_PERSONAL_DATA" in caplog.text


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"MASKED_PATTERNS": {"a": "("}}, "TURNLOG['MASKED_PATTERNS']['a'] must be a regular"),
        ({"MASKED_PATTERNS": {"a": "x*"}}, "needs at least one character"),
        ({"MASKED_PATTERNS": {"a": 7}}, "a regular expression as a string"),
        ({"MASKED_PATTERNS": {"<b>": "x"}}, "under a name of letters and digits"),
        ({"MASKED_PATTERNS": ["x"]}, "must be a dictionary from names to patterns, found list"),
        ({"MASKED_KINDS": ["fax"]}, "found 'fax'"),
        ({"MASKED_KINDS": "email"}, "a list of strings"),
        ({"FIND_PERSONAL_DATA": "tests.nothing"}, "FIND_PERSONAL_DATA"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(settings: Any, setting: Any, problem: str) -> None:
    settings.TURNLOG = setting
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        MASKER.text("text")
    assert any(problem in error.msg for error in run_checks() if error.id == "turnlog.E001")
