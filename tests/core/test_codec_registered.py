"""Enum and dataclass classes: stored once registered, restored without running their code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import CodecError, decode, dumps, encode, loads, register
from turnlog.core.codec import registered as registry
from turnlog.core.codec.dispatch import ENCODERS

pytestmark = pytest.mark.slow_once
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _registrations_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))
    before = dict(ENCODERS)
    yield
    for cls in ENCODERS.keys() - before.keys():
        del ENCODERS[cls]


class Colour(Enum):
    RED = "red"
    CRIMSON = "red"
    BLUE = (1, 2)


class Level(IntEnum):
    LOW = 1


class Mood(StrEnum):
    GOOD = "good"


class Right(Flag):
    READ = 1
    WRITE = 2
    ALL = 3
    NONE = 0
    RUN = 4


class Bits(IntFlag):
    A = 1


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Colour.CRIMSON, Colour.BLUE, Level.LOW, Mood.GOOD, Right.ALL, Right.NONE,
     Right.READ | Right.RUN, Right(0), Bits.A, Bits(0), Bits(65), Bits(1 << 3000)],
    ids=repr,
)  # fmt: skip
def test_enum_members_are_the_very_ones(value: Enum) -> None:
    register(type(value))
    again = loads(dumps({value: [value]}))
    assert again == {value: [value]}
    ((key, [item]),) = again.items()
    assert key is item
    assert type(key) is type(value)
    assert key is value or isinstance(value, Flag)


@register(name="shop.Order")
@dataclasses.dataclass
class Order:
    amount: Any
    tags: list[str] = dataclasses.field(default_factory=list)
    total: int = dataclasses.field(init=False, repr=False, compare=False)
    currency: str = "KRW"
    rate: ClassVar[float] = 1.0
    discount: dataclasses.InitVar[int] = 0

    def __post_init__(self, discount: int) -> None:
        self.total = len(self.tags) - discount


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point(Generic[T]):
    x: T
    y: T

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)


class Small(Point[int]):
    """Not registered, though its base is."""


def test_dataclasses_come_back_field_by_field() -> None:
    register(Order, name="shop.Order")
    register(Point)
    order = Order((1, Point(x=1, y=float("nan"))), ["a"], discount=3)
    order.total = 77  # __post_init__ would make it 1
    again = loads(dumps(order))
    assert_same(again, order)
    assert again.total == 77
    assert again.rate == 1.0


@dataclasses.dataclass
class Touchy:
    value: int
    allowed: ClassVar[bool] = True

    def __new__(cls, *args: Any) -> Any:
        assert cls.allowed
        return object.__new__(cls)

    def __post_init__(self) -> None:
        assert self.allowed

    def __setattr__(self, name: str, value: Any) -> None:
        assert self.allowed
        object.__setattr__(self, name, value)


def test_no_code_of_the_class_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    register(Touchy)
    text = dumps(Touchy(1))
    monkeypatch.setattr(Touchy, "allowed", False)
    with pytest.raises(AssertionError):
        Touchy(1)
    assert loads(text).value == 1


def test_documents_look_like_this() -> None:
    register(Right, name="right")
    register(Order, name="shop.Order")
    assert encode(Right.READ) == {"_type": "enum", "_value": {"class": "right", "member": "READ"}}
    assert encode(Right(5)) == {"_type": "enum", "_value": {"class": "right", "flags": 5}}
    assert encode(Order(1)) == {
        "_type": "dataclass",
        "_value": {
            "class": "shop.Order",
            "fields": {"amount": 1, "tags": [], "total": 0, "currency": "KRW"},
        },
    }


@pytest.mark.parametrize("value", [Colour.RED, Point(x=1, y=2), Small(x=1, y=2)], ids=repr)
def test_what_is_not_registered_is_refused(value: Any) -> None:
    if type(value) is Small:
        register(Point)
    with pytest.raises(CodecError, match="register") as caught:
        encode({"a": value})
    assert caught.value.path == "$.a"
    assert caught.value.type_name.endswith(type(value).__name__)


def test_a_class_that_is_gone_is_refused_on_reading() -> None:
    with pytest.raises(CodecError, match="register") as caught:
        decode({"a": {"_type": "enum", "_value": {"class": "gone", "member": "X"}}})
    assert (caught.value.path, caught.value.type_name) == ("$.a", "gone")


def test_the_default_name_is_where_the_class_stands() -> None:
    register(Level)
    assert encode(Level.LOW)["_value"]["class"] == f"{__name__}.Level"


def test_a_name_belongs_to_one_class() -> None:
    register(Level, name="n")
    register(Level, name="n")
    with pytest.raises(CodecError, match="already registered"):
        register(Mood, name="n")
    with pytest.raises(CodecError):
        encode(Mood.GOOD)


def test_a_class_may_keep_its_old_names() -> None:
    register(Level, name="new")
    register(Level, name="old")
    assert encode(Level.LOW)["_value"]["class"] == "new"
    assert decode({"_type": "enum", "_value": {"class": "old", "member": "LOW"}}) is Level.LOW


@dataclasses.dataclass
class Failure(ValueError):
    code: int


@pytest.mark.parametrize("thing", [int, object, Failure, "Colour", Colour.RED, None.__class__])
def test_only_enums_and_plain_dataclasses_are_registered(thing: Any) -> None:
    with pytest.raises(CodecError):
        register(thing)


@pytest.mark.parametrize("name", [5, b"x", "\ud83d\ude00"])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(CodecError):
        register(Level, name=name)


def test_decorating_gives_the_class_back() -> None:
    assert register(Level) is Level
    assert register(name="x")(Mood) is Mood


def test_fields_that_came_later_take_their_defaults() -> None:
    register(Order, name="shop.Order")
    old = {"class": "shop.Order", "fields": {"amount": 1, "total": 0}}
    again = decode({"_type": "dataclass", "_value": old})
    assert (again.tags, again.currency) == ([], "KRW")


@pytest.mark.parametrize(
    ("tag", "body"),
    [
        ("dataclass", {"class": "shop.Order", "fields": {"total": 1}}),
        ("dataclass", {"class": "shop.Order", "fields": {"amount": 1, "total": 0, "more": 1}}),
        ("dataclass", {"class": "shop.Order", "fields": []}),
        ("dataclass", {"class": "right", "fields": {}}),
        ("dataclass", {"class": ["shop.Order"], "fields": {}}),
        ("enum", {"class": "shop.Order", "member": "amount"}),
        ("enum", {"class": "right", "member": "GONE"}),
        ("enum", {"class": "right", "member": "__class__"}),
        ("enum", {"class": "right", "flags": 64}),
        ("enum", {"class": "right", "flags": "READ"}),
        ("enum", {"class": "level", "flags": 1}),
        ("enum", {"class": "right"}),
        ("enum", "READ"),
    ],
)
def test_malformed_documents_are_refused(tag: str, body: Any) -> None:
    register(Order, name="shop.Order")
    register(Right, name="right")
    register(Level, name="level")
    with pytest.raises(CodecError):
        decode({"_type": tag, "_value": body})


def test_a_field_is_named_where_it_fails() -> None:
    register(Order, name="shop.Order")
    with pytest.raises(CodecError) as caught:
        encode([Order({"a": object()})])
    assert caught.value.path == "$[0].amount.a"
    order = Order(1)
    del order.total
    with pytest.raises(CodecError) as caught:
        encode([order])
    assert caught.value.path == "$[0].total"
    body = {"class": "shop.Order", "fields": {"amount": {"_type": "?", "_value": 1}, "total": 0}}
    with pytest.raises(CodecError) as caught:
        decode({"_type": "dataclass", "_value": body})
    assert caught.value.path == "$.amount"
