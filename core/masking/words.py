"""E-mail addresses, IP addresses and secrets in a text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from .found import Found

# Letters that Koreans, Japanese and Chinese write beside an address without a space.
_CJK = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u4e00-\u9fff\uac00-\ud7af"
_LOCAL = re.compile(rf"[^\W{_CJK}]|[.!#$%'*+^~-]")
_OTHER = re.compile(r"[\w.+-]")
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,62})\.){1,20}(?:xn--[a-z0-9-]{2,59}|[a-z]{2,63})", re.IGNORECASE
)
_OTHER_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,20}[^\W\d_]{2,63}")
_LONGEST_LOCAL, _LONGEST_DOMAIN = 64, 255


def emails_in(text: str) -> Iterator[Found]:
    """Yield the e-mail addresses in a folded text: each @ looks at what is beside it."""
    at = text.find("@")
    after = 0
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1, at + 1 + _LONGEST_DOMAIN)
        domain = domain or _OTHER_DOMAIN.match(text, at + 1, at + 1 + _LONGEST_DOMAIN)
        if domain is not None:
            start = _start(text, at, max(after, at - _LONGEST_LOCAL))
            if start < at:
                after = domain.end()
                yield Found(start, after, "email", text[start:after].casefold())
        at = text.find("@", at + 1)


def _start(text: str, at: int, least: int) -> int:
    """Return where the name before an @ begins."""
    if text[at - 1 : at] == '"':
        start = text.rfind('"', least, at - 1)
        return at if start < 0 else start
    for sign in (_LOCAL, _OTHER):
        start = at
        while start > least and sign.match(text, start - 1):
            start -= 1
        while start < at and not text[start].isalnum():
            start += 1  # A quotation mark or Markdown's emphasis.
        if start < at:
            return start
    return at


_V4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_V6 = re.compile(
    r"(?<![A-Za-z0-9_])[A-Za-z0-9_]*+:[A-Za-z0-9_]*+:[A-Za-z0-9_:]*+(?:\.\d{1,3}){0,3}+"
)
_LONGEST_V6 = 80


def addresses_in(text: str) -> Iterator[Found]:
    """Yield the IP addresses in a folded text, other than those of one's own machine."""
    for token in _V4.finditer(text):
        # Zeros in front, which the library refuses because some read them as octal.
        written = ".".join(str(int(part)) for part in token[0].split("."))
        yield from _address(token.start(), token[0], written)
    for token in _V6.finditer(text):
        if 4 < len(token[0]) <= _LONGEST_V6:
            yield from _version_6(token.start(), token[0])


def _version_6(start: int, token: str) -> Iterator[Found]:
    # As it is, and behind a word: "ip:2001:db8::1".
    for begin in dict.fromkeys((0, token.find(":") + 1)):
        written = token[begin:]
        if written.endswith(":") and not written.endswith("::"):
            written = written[:-1]
        # Such as Rust's a::b is none: it would be written with digits.
        if any(sign.isdigit() for sign in written):
            for found in _address(start + begin, written, written):
                yield found
                return


def _address(start: int, token: str, written: str) -> Iterator[Found]:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return
    if not (address.is_loopback or address.is_unspecified):
        yield Found(start, start + len(token), "ip", address.compressed)


_SECRET = re.compile(
    # After a line break that is written as \\n, and after a terminal's colour, too.
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=\[\dm)|(?<=\[\d\dm))(?:"
    r"sk-[A-Za-z0-9_-]{16,}+"  # OpenAI, Anthropic, DeepSeek and others
    r"|[sprw]k_(?:live|test)_[A-Za-z0-9]{16,}+"  # Stripe
    r"|A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+|glpat-[A-Za-z0-9_-]{16,}+"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}+|xapp-[A-Za-z0-9-]{16,}+"  # Slack
    r"|AIza[A-Za-z0-9_-]{30,}+|ya29\.[A-Za-z0-9_-]{16,}+"  # Google
    r"|hf_[A-Za-z0-9]{20,}+|npm_[A-Za-z0-9]{30,}+|pypi-[A-Za-z0-9_-]{16,}+|gsk_[A-Za-z0-9]{20,}+"
    r"|eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?"  # RFC 7519
    r")"
)
_BEARER = re.compile(r"(?<![A-Za-z0-9])bearer {1,4}([A-Za-z0-9._~+/-]{20,}+=*+)", re.IGNORECASE)
# The password of an address such as postgres://user:password@host.
_PASSWORD = re.compile(r"://[^\s/:@]{0,64}+:([^\s/@]{1,256}+)@")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}-----")


def secrets_in(text: str) -> Iterator[Found]:
    """Yield the keys, tokens and passwords in a folded text."""
    for found in _SECRET.finditer(text):
        yield Found(found.start(), found.end(), "secret", found[0])
    for pattern in (_BEARER, _PASSWORD):
        for found in pattern.finditer(text):
            yield Found(found.start(1), found.end(1), "secret", found[1])
    begins = _KEY_BEGINS.search(text)
    while begins is not None:
        ends = _KEY_ENDS.search(text, begins.end())
        end = len(text) if ends is None else ends.end()
        yield Found(begins.start(), end, "secret", text[begins.start() : end])
        begins = _KEY_BEGINS.search(text, end)
