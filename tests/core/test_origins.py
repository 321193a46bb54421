"""What counts as an origin, and when two are the same."""

from __future__ import annotations

import pytest

from turnlog.core.origins import is_origin_or_pattern, parse_origin


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://chat.example", "HTTPS://Chat.Example"),
        ("https://chat.example", "https://chat.example:443"),
        ("http://chat.example:80", "http://chat.example"),
        ("http://chat.example.", "http://chat.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000"),
    ],
)
def test_an_origin_has_one_form(one: str, other: str) -> None:
    assert parse_origin(one) == parse_origin(other) is not None


@pytest.mark.parametrize(
    "other",
    [
        "http://chat.example",
        "https://chat.example:8443",
        "https://other.example",
        "https://sub.chat.example",
        "https://chat.example.evil.example",
        "https://evilchat.example",
    ],
)
def test_scheme_host_and_port_all_count(other: str) -> None:
    origin, another = parse_origin("https://chat.example"), parse_origin(other)
    assert origin
    assert another
    assert origin != another
    assert not origin.covers(another)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "*", "chat.example", "//chat.example", "https:chat.example", "http://"),
        *("https://chat.example/", "https://chat.example/path", "https://chat.example?q"),
        *("https://chat.example#f", "https://ada@chat.example", "https://ada:x@chat.example"),
        *("https://chat.example:", "https://chat.example:0", "https://chat.example:65536"),
        *("https://chat.example:x", "https://[::1", "https://[fe80::1%25eth0]", "https://a..b"),
        *("https://chat.example\n", " https://chat.example", "https://a b", "https://a\\b"),
        "https://chat.example https://other.example",
        "https://" + "a" * 300,
    ],
)
def test_anything_else_is_no_origin(text: str) -> None:
    assert parse_origin(text) is None
    assert not is_origin_or_pattern(text)


def test_a_pattern_stands_for_a_name_and_those_below_it() -> None:
    pattern = parse_origin("https://*.example.com:8443")
    assert pattern
    for text, covered in {
        "https://example.com:8443": True,
        "https://a.b.example.com:8443": True,
        "https://example.com": False,
        "http://a.example.com:8443": False,
        "https://evilexample.com:8443": False,
        "https://*.example.com:8443": False,
    }.items():
        origin = parse_origin(text)
        assert origin
        assert pattern.covers(origin) == covered, text


@pytest.mark.parametrize("text", ["https://*", "https://*.*.example", "https://a.*.example"])
def test_a_star_stands_at_the_beginning_of_a_name_only(text: str) -> None:
    assert not is_origin_or_pattern(text)
    assert is_origin_or_pattern("https://*.example")
