"""A projection of one's own: what it needs, and what is said where something is missing."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks

from tests.project.tally.models import Tally
from tests.second_database import LogRouter
from turnlog.core.errors import ConfigurationError
from turnlog.events import hooks
from turnlog.projections import Projection, register
from turnlog.projections.engine import registry
from turnlog.projections.engine.registry import check_projections, named, problems


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", list(registry._registered))
    monkeypatch.setattr(hooks, "inline_projections", list(hooks.inline_projections))


def made(**attributes: Any) -> type[Projection]:
    whole: dict[str, Any] = {
        "name": "whole",
        "handles": ("MessageAppended",),
        "model": Tally,
        "apply": lambda self, events: None,
        "erase": Projection.apply_again,
        **attributes,
    }
    given = {name: value for name, value in whole.items() if value is not None}
    return type("Made", (Projection,), given)


def test_a_module_named_projections_is_found() -> None:
    assert [projection.name for projection in named(["tally"])] == ["tally"]


def test_a_whole_projection_is_known_by_its_name() -> None:
    assert register(made()).__name__ == "Made"
    assert problems() == []
    assert [projection.name for projection in named(["whole", "whole"])] == ["whole"]


def test_an_inline_one_goes_with_each_append() -> None:
    register(made(inline=True, insert="INSERT ..."))
    assert hooks.inline_projections[-1].insert == "INSERT ..."


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"name": "Not A Name"}, "Made: `name` must be 1 to 64 lower-case letters"),
        ({"handles": ("MessageAppend",)}, "Made: `handles` must name event types, found"),
        ({"handles": ()}, "Made: `handles` must name event types, found ()"),
        ({"handles": "MessageAppended"}, "Made: `handles` must name event types"),
        ({"version": 0}, "Made: `version` must be a whole number above 0, found 0"),
        ({"on_error": "skip"}, "Made: `on_error` must be 'stop' or 'park', found 'skip'"),
        ({"apply": None}, "Made: write `apply(self, events)`"),
        ({"model": None}, "Made: set `model`, or write `reset(self, streams)`"),
        ({"erase": None}, "Made: write `erase(self, events)`"),
        ({"name": "tally"}, "projection 'tally' is registered 2 times; names must differ"),
        ({"inline": True, "on_error": "park"}, "Made: `on_error` is for async projections"),
    ],
)
def test_what_is_missing_is_said_at_start_up(attributes: dict[str, Any], sentence: str) -> None:
    register(made(**attributes))
    [error] = check_projections(None)
    assert (error.id, error.level) == ("turnlog.E005", checks.ERROR)
    assert error.msg.startswith(sentence)
    with pytest.raises(ConfigurationError) as caught:
        named([])
    assert sentence in str(caught.value)


def test_rows_in_another_database_than_the_log_are_refused(settings: Any) -> None:
    router = LogRouter()
    router.apps, router.alias = ("tally",), "elsewhere"
    settings.DATABASE_ROUTERS = [router]
    messages = [error.msg for error in check_projections(None)]
    assert len(messages) == 2
    assert "Tally must be in the log's database, 'default', but" in messages[0]
    assert "'elsewhere'" in messages[0]
