"""What no change of a bundle gets past, held by two verifiers: ours, and one in JavaScript that was
written from docs/bundle-format.md."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.proof.made import (
    ADA,
    KEY,
    OTHER_KEY,
    Line,
    Log,
    bundle,
    dump,
    example,
    example_bundle,
)
from tests.events.proof.second import Second, second_verifier, verdict

pytestmark = pytest.mark.slow_once


@pytest.fixture(scope="module")
def second() -> Iterator[Second]:
    with second_verifier() as found:
        yield found


def talk(events: int, streams: int = 3) -> Log:
    """A log of so many events, some of them erased."""
    log = Log()
    for number in range(events):
        stream_id = number % streams + 1
        if stream_id not in log.heads:
            log.add(stream_id, "ConversationOpened", {"owner": ADA, "title": ""})
        elif number % 50 == 49:
            log.erase(stream_id, log.heads[stream_id][0])
        else:
            log.say(stream_id, f"{number}: 안녕")
    return log


# Bundles that are what they claim to be


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 255, 256, 257, 1000])
def test_both_agree_on_whole_bundles_of_every_scope(second: Second, size: int) -> None:
    log = talk(size)
    erased = sum(line["payload"] is None for line in log.events)
    scopes: dict[str, list[Callable[[Line], bool]]] = {
        "log": [lambda line: True],
        "conversations": [
            lambda line: line["stream_id"] == 1,
            lambda line: line["stream_id"] in (2, 3),
            lambda line: True,
        ],
        "selection": [
            lambda line: line["position"] == size or line["type"] == "PayloadErased",
            lambda line: line["position"] % 5 == 1 or line["type"] == "PayloadErased",
            lambda line: line["stream_id"] == 99,
        ],
    }
    for complete, choices in scopes.items():
        for wanted in choices:
            for signed in {size, size - 1, size // 2, max(1, size - 300)} - {0}:
                found = dump(bundle(log, complete, wanted, size=signed))
                said = verdict(second, found, [KEY.public])
                assert said is not None
                chosen = [line for line in log.events if wanted(line)]
                assert said["events"] == len(chosen)
                assert said["proven"] == sum(line["position"] <= signed for line in chosen)
                assert said["size"] == signed
                if complete == "log":
                    assert said["erased"] == erased


def test_both_unpack_gzip(second: Second) -> None:
    plain = example_bundle()
    packed = gzip.compress(plain, mtime=0)
    assert verdict(second, packed) == verdict(second, plain) is not None
    assert verdict(second, packed + bytes(512)) is not None
    half = len(plain) // 2
    assert verdict(second, gzip.compress(plain[:half]) + gzip.compress(plain[half:])) is not None
    for damaged in (packed + b"more", packed[:-1] + bytes([packed[-1] ^ 1]), packed * 2):
        assert verdict(second, damaged) is None
    for length in range(1, len(packed), 7):
        assert verdict(second, packed[:length]) is None


def test_a_key_that_is_brought_decides(second: Second) -> None:
    good, other = KEY.public, OTHER_KEY.public
    signed_by_other = dump(bundle(example(), key=OTHER_KEY))
    assert verdict(second, signed_by_other) is not None, "it fits together"
    assert verdict(second, signed_by_other, [good]) is None
    assert verdict(second, signed_by_other, [good, other]) is not None
    assert verdict(second, example_bundle(), [other]) is None

    # The bundle's own key must have signed as well, or it would be there to mislead.
    lines = bundle(example())
    lines[0]["key"] = str(other)
    assert verdict(second, dump(lines), [good]) is None
    # Both have, as during a rotation.
    lines[0]["checkpoint"] += bundle(example(), key=OTHER_KEY)[0]["checkpoint"].split("\n\n")[1]
    assert verdict(second, dump(lines), [good]) is not None


# A change of a byte or a line


@pytest.mark.parametrize("change", [0x01, 0x20], ids=["another", "the other case"])
def test_no_byte_can_be_changed(second: Second, change: int) -> None:
    whole = example_bundle()
    keys = [KEY.public]
    assert verdict(second, whole, keys) is not None
    changed = bytearray(whole)
    for place in range(len(whole)):
        changed[place] ^= change
        assert verdict(second, bytes(changed), keys) is None, (place, changed[place - 20 : place])
        changed[place] ^= change


def test_white_space_and_escapes_say_nothing(second: Second) -> None:
    lines = bundle(example())
    for written in (
        b"".join(
            b" \t" + json.dumps(line, indent=1).encode().replace(b"\n", b"\r") + b" \r\n"
            for line in lines
        ),
        dump([dict(reversed(line.items())) for line in lines]),
    ):
        assert verdict(second, written) == verdict(second, dump(lines)) is not None


def test_no_line_can_be_left_out_doubled_or_moved(second: Second) -> None:
    lines = example_bundle().splitlines(keepends=True)
    contents = {n for n, line in enumerate(lines) if line.startswith(b'{"content"')}
    assert contents
    for place in range(len(lines)):
        without = lines[:place] + lines[place + 1 :]
        # Contents are an appendix: which there are is not proven, and the page says so.
        assert (verdict(second, b"".join(without)) is not None) == (place in contents)
        doubled = lines[: place + 1] + lines[place:]
        assert verdict(second, b"".join(doubled)) is None
        for other in range(place + 1, len(lines)):
            swapped = list(lines)
            swapped[place], swapped[other] = lines[other], lines[place]
            accepted = verdict(second, b"".join(swapped)) is not None
            # Next to each other, with nothing between manifest and end to tell them apart.
            assert not accepted or (
                {place, other} & contents and other == place + 1 and 0 < place < len(lines) - 2
            )


def test_nothing_can_be_cut_off(second: Second) -> None:
    whole = example_bundle()
    for length in {*range(0, len(whole), 41), len(whole) - 1}:
        assert verdict(second, whole[:length]) is None
    for place, byte in enumerate(whole[:-1]):
        if byte == ord("\n"):
            assert verdict(second, whole[: place + 1]) is None
    for more in (b"\n", b" ", b"{}\n", whole):
        assert verdict(second, whole + more) is None


@pytest.mark.parametrize("complete", ["log", "conversations", "selection"])
def test_no_words_can_be_blanked(second: Second, complete: str) -> None:
    """As if they had been erased; the tail, which nobody has signed, is another matter."""
    lines = bundle(example(), complete)
    for place, line in enumerate(lines):
        if line.get("payload") is not None:
            blanked = [*lines[:place], {**line, "payload": None, "salt": None}, *lines[place + 1 :]]
            assert verdict(second, dump(blanked)) is None

    log = example()
    log.erase(7, 1)
    found = verdict(second, dump(bundle(log, complete, size=9)))
    assert found is not None
    assert (found["erased"], found["erased_unsigned"]) == (2, 1)


# Whatever is changed in it: what is accepted is true


BASES: list[list[Line]] = []
SIGNED: dict[str, list[Line]] = {}
"""By the root that is signed: the events that it is over."""
for _log, _size in ((example(), 8), (example(), 9), (talk(60), 55)):
    _whole = bundle(_log, size=_size)
    BASES += [
        _whole,
        bundle(_log, "conversations", lambda line: line["stream_id"] in (1, 7), size=_size),
        bundle(_log, "selection", lambda line: line["position"] % 4 != 0, size=_size),
    ]
    _root = base64.b64decode(_whole[0]["checkpoint"].split("\n")[2]).hex()
    SIGNED[_root] = _log.events[:_size]


def test_the_bases_are_accepted(second: Second) -> None:
    for lines in BASES:
        assert verdict(second, dump(lines), [KEY.public]) is not None


HOSTILE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30),
    *(1.0, 0.5, float("nan"), float("inf"), "", "1", "log", "conversations", "selection"),
    *([], [1], {}, {"a": {}}, [[[]]], {"conversations": [7]}, {"conversations": [1, 2, 3]}),
    *("00" * 32, "FF" * 32, "0" * 63, "\x00", "\ud800", "\u2028", ADA, ADA.upper()),
    *("PayloadErased", "turnlog bundle v2", '{"versions":[1,2,3]}', '{"versions":[true]}'),
]
NAMES = sorted({name for lines in BASES for line in lines for name in line})


@st.composite
def hostile_bundles(draw: st.DrawFn) -> list[Line]:
    """A bundle with a few changes of its lines, names and values."""
    lines = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        line = lines[place]
        match draw(st.integers(0, 8)):
            case 0:
                lines.pop(place)
            case 1:
                lines.insert(draw(st.integers(0, len(lines))), copy.deepcopy(line))
            case 2:
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(place))
            case 3:
                line.pop(draw(st.sampled_from(NAMES)), None)
            case 4:
                other = draw(st.sampled_from(draw(st.sampled_from(BASES))))
                lines[place] = copy.deepcopy(other)
            case 5:
                line["payload"] = line["salt"] = None
            case 6 if line:
                name = draw(st.sampled_from(sorted(line)))
                if type(line[name]) is int:
                    line[name] += draw(st.sampled_from([-1, 1, 2**32, 2**64]))
                elif type(line[name]) is list:
                    line[name] = line[name][draw(st.integers(0, 2)) :]
            case _:
                line[draw(st.sampled_from(NAMES))] = draw(st.sampled_from(HOSTILE))
        if not lines:
            break
    # Counted right, so that it is not refused for that alone.
    if lines and draw(st.booleans()) and "end" in lines[-1]:
        events = [line for line in lines if "stream_id" in line]
        streams = len({str(line["stream_id"]) for line in events})
        lines[-1]["end"] = {"events": len(events), "conversations": streams}
    return lines


@settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow])
@given(hostile_bundles())
def test_what_is_accepted_is_what_the_log_says(second: Second, lines: list[Line]) -> None:
    written = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    said = verdict(second, written, [KEY.public])
    if said is None:
        return
    recorded = SIGNED[said["root"]]
    events = [line for line in lines if "stream_id" in line]
    for line in events:
        if line["position"] is not None:
            truth = recorded[line["position"] - 1]
            assert {name: line[name] for name in truth} == truth
    positions = [line["position"] for line in events if line["position"] is not None]
    if said["complete"] == "log":
        assert positions == list(range(1, len(recorded) + 1))
    if said["complete"] == "conversations":
        versions: dict[int, list[int]] = {}
        for line in events:
            versions.setdefault(line["stream_id"], []).append(line["version"])
        assert sorted(versions) == lines[0]["scope"]["conversations"]
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
