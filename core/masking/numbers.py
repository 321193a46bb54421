"""Phone numbers, payment cards and Korean resident numbers: groups of digits, however they stand.

A *run* is digits with spaces, dots, dashes, slashes or brackets between them. It is cut into its
groups once, and each group begins a bounded number of attempts. So a run of any length takes time
in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .found import Found

_RUN = re.compile(r"\+?\(?\d++(?:[ .()/-]{1,3}+\d++)*+")
_GROUP = re.compile(r"(\+?)\(?(\d+)")
_LONGEST_RUN_OF_ONES = 19

# The beginnings of card numbers, by the networks that use them, and the lengths they come in.
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|(?:50|5[6-8])\d{11,17}"
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}"
    r"|35(?:2[89]|[3-8]\d)\d{12,15}|6\d{12,18}|81\d{14,17}|9\d{15}"
)
# The groups in which cards, resident numbers and American telephone numbers are written.
_SHAPES: dict[int, list[tuple[int, ...]]] = {
    1: [(1, 3, 3, 4)],
    3: [(3, 3, 4)],
    4: [(4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 5, 6), (4, 4, 4, 1)],
    6: [(6, 7)],
}
_FIRST_SIZES = frozenset(_SHAPES)
_RESIDENT = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{7}")
_MOBILE = re.compile(r"010\d{8}|01[16-9]\d{7,8}")
_SEOUL = re.compile(r"02\d{7,8}")
_LANDLINE = re.compile(r"0(?:[3-6][1-5]|[78]0)\d{7,8}|050\d{8,9}")
_KOREA = re.compile(r"(?:00[12]?|00700)?82")
_ABROAD = re.compile(r"00[1-9]\d{8,12}")
_AMERICAN = re.compile(r"1?[2-9]\d{9}")


class _Group(NamedTuple):
    digits: str
    start: int
    end: int
    plus: bool


def numbers_in(text: str) -> Iterator[Found]:
    """Yield the numbers in a folded text."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 8:
            continue
        for part in _parts(text, run):
            yield from _numbers(part)


def without_zero(digits: str) -> tuple[str, str] | None:
    """Return what a whole number is, if it stands in a table or JSON without its leading zero."""
    if len(digits) == 12 and digits[5] in "34" and _RESIDENT.fullmatch(f"0{digits}"):
        return "rrn", f"0{digits}"
    if len(digits) == 10 and digits.startswith("10"):
        return "phone", f"0{digits}"
    return None


def _parts(text: str, run: re.Match[str]) -> Iterator[list[_Group]]:
    """Yield a run's groups, without the numbers with decimals between them."""
    groups = [
        _Group(found[2], found.start(), found.end(), bool(found[1]))
        for found in _GROUP.finditer(text, run.start(), run.end())
    ]
    part: list[_Group] = []
    place = 0
    while place < len(groups):
        if _is_decimal(text, groups, place):
            yield part
            part, place = [], place + 2
            continue
        part.append(groups[place])
        place += 1
    yield part


def _is_decimal(text: str, groups: Sequence[_Group], place: int) -> bool:
    """Return whether two groups are one number such as 0.4111111111111111."""
    if place + 1 >= len(groups) or not _joined(text, groups, place):
        return False
    whole, decimals = groups[place].digits, groups[place + 1].digits
    if (whole[0] == "0" and whole != "0") or not decimals.strip("0"):
        return False  # No number begins so; and what ends in .0 may be a table's.
    before = place > 0 and _joined(text, groups, place - 1)
    return not before and not _joined(text, groups, place + 1)


def _joined(text: str, groups: Sequence[_Group], place: int) -> bool:
    """Return whether a single dot follows a group."""
    if place + 1 >= len(groups):
        return False
    return text[groups[place].end : groups[place + 1].start] == "."


def _numbers(groups: list[_Group]) -> Iterator[Found]:
    groups = _merged(groups)
    begin = place = 0
    while place < len(groups):
        found = _begins(groups, place)
        if found is None:
            place += 1
            continue
        yield from _whole(groups[begin:place])
        kind, value, count = found
        yield _of(groups[place : place + count], kind, value)
        begin = place = place + count
    yield from _whole(groups[begin:])


def _merged(groups: list[_Group]) -> list[_Group]:
    """Return groups with those of one digit put together: somebody may write a number so."""
    merged: list[_Group] = []
    single = False
    for group in groups:
        is_single = len(group.digits) == 1 and not (group.plus and merged)
        if is_single and single and len(merged[-1].digits) < _LONGEST_RUN_OF_ONES:
            last = merged[-1]
            merged[-1] = _Group(last.digits + group.digits, last.start, group.end, last.plus)
        else:
            merged.append(group)
        single = is_single
    return merged


def _begins(groups: Sequence[_Group], place: int) -> tuple[str, str, int] | None:
    """Return the number that begins with a group: its kind, its value, and how many groups."""
    first = groups[place]
    size = len(first.digits)
    if first.plus or first.digits[0] == "0" or first.digits.startswith("82"):
        phone = _phone(groups, place, first.plus)
        if phone is None and first.plus:
            phone = _phone(groups, place, plus=False)
        if phone is not None:
            return ("phone", *phone)
    if size >= 13:
        return _card_or_resident(first.digits, 1)
    if size not in _FIRST_SIZES:
        return None
    sizes = tuple(len(group.digits) for group in groups[place : place + 5])
    for shape in _SHAPES[size]:
        if sizes[: len(shape)] == shape:
            digits = "".join(group.digits for group in groups[place : place + len(shape)])
            if sum(shape) < 12:
                if _AMERICAN.fullmatch(digits):
                    return "phone", f"+1{digits[-10:]}", len(shape)
            elif found := _card_or_resident(digits, len(shape)):
                return found
    return None


def _card_or_resident(digits: str, count: int) -> tuple[str, str, int] | None:
    if _is_card(digits):
        return "card", digits, count
    return ("rrn", digits, count) if _is_resident(digits) else None


def _whole(groups: Sequence[_Group]) -> Iterator[Found]:
    """Yield what all groups together are, in whatever groups: 900 101 123 4567."""
    if not groups or sum(len(group.digits) for group in groups[:20]) > 19:
        return
    digits = "".join(group.digits for group in groups)
    if _is_card(digits):
        yield _of(groups, "card", digits)
    elif _is_resident(digits):
        yield _of(groups, "rrn", digits)


def _of(groups: Sequence[_Group], kind: str, value: str) -> Found:
    return Found(groups[0].start, groups[-1].end, kind, value)


def _is_card(digits: str) -> bool:
    return 13 <= len(digits) <= 19 and bool(_CARD.fullmatch(digits)) and _luhn(digits)


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _is_resident(digits: str) -> bool:
    # Those since October 2020 have no check digit: the birthday alone must be possible.
    return len(digits) == 13 and bool(_RESIDENT.fullmatch(digits)) and digits[6] in "12345678"


def _phone(groups: Sequence[_Group], place: int, plus: bool) -> tuple[str, int] | None:
    """Return the telephone number that begins with a group, and how many groups it has.

    Korean ones are the same with +82 and with 0 in front.
    """
    first = groups[place].digits
    if not plus and len(first) < 3 and first not in ("00", "02", "82"):
        return None
    abroad = None
    digits, sizes = "", []
    for count, group in enumerate(groups[place : place + 15], 1):
        digits += group.digits
        sizes.append(len(group.digits))
        if len(digits) > 17 or (count > 1 and group.plus):
            break
        if len(digits) < 8:
            continue
        home = _at_home(digits, plus)
        if home is not None and _is_korean(home, sizes if home is digits else [3]):
            return home, count
        if plus and digits.startswith("1"):
            if len(digits) == 11:
                return f"+{digits}", count
        elif plus and digits[0] != "0" and len(digits) <= 15:
            abroad = f"+{digits}", count
        elif not plus and _ABROAD.fullmatch(digits) and (count > 1 or len(digits) > 11):
            abroad = f"+{digits[2:]}", count
        elif not plus and abroad is None and _is_national(digits, sizes):
            return digits, count
    return abroad


def _at_home(digits: str, plus: bool) -> str | None:
    """Return a Korean number as it is dialled in Korea; the same object if it is written so."""
    found = _KOREA.match(digits)
    if found is None or (found[0] == "82" and not plus and digits[2:4] not in ("10", "01")):
        return None if plus else digits
    rest = digits[found.end() :]
    return rest if rest.startswith("0") else f"0{rest}"


def _is_korean(digits: str, sizes: Sequence[int]) -> bool:
    if _MOBILE.fullmatch(digits) or _LANDLINE.fullmatch(digits):
        return sizes[0] >= 3
    return bool(_SEOUL.fullmatch(digits)) and (sizes[0] > 2 or min(sizes[1:], default=0) > 2)


def _is_national(digits: str, sizes: Sequence[int]) -> bool:
    """Return whether it is a number of another country: an area or a network, longer groups."""
    if digits[:2] == "00" or digits[0] != "0" or not 9 <= len(digits) <= 11:
        return False
    return 3 <= sizes[0] <= 5 and min(sizes[1:], default=0) > 2
