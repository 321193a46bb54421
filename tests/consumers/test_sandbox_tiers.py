"""Which tier is taken, what is refused, and what the developer hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import checks

from turnlog.consumers.sandbox import standing, tiers
from turnlog.consumers.sandbox.checks import check_sandbox
from turnlog.consumers.sandbox.places import Places
from turnlog.consumers.sandbox.seats import Call
from turnlog.core.errors import ConfigurationError, SandboxRefused

pytest.importorskip("pandas")

pytestmark = pytest.mark.slow_once


@pytest.fixture
def places() -> Iterator[Places]:
    opened = Places()
    yield opened
    opened.end_all()


def tier_of(places: Places) -> str:
    assert places.run(("here", "ada"), "1 + 1", None, 10.0, Call()).value == 2
    assert places.tier is not None
    return places.tier.name


def without(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers leave a layer out, as on a machine that does not have it."""
    fewer = {tier: [each for each in had if each != layer] for tier, had in tiers._LAYERS.items()}
    monkeypatch.setattr(tiers, "_LAYERS", fewer)


@pytest.fixture(autouse=True)
def _only_python(settings: Any) -> None:
    settings.TURNLOG = {"SANDBOX_LIBRARIES": [], "SANDBOX_SPARE": False}


def test_without_bubblewrap_the_sandbox_is_reduced_and_the_check_says_so(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "bubblewraps", lambda: ["/nowhere/bwrap"])
    assert tier_of(places) == "reduced"
    assert places.tier is not None
    assert "it does not start" in places.tier.why
    [message] = check_sandbox(None)
    assert (message.id, message.level) == ("turnlog.W010", checks.WARNING)
    assert "No such file" in message.msg


@pytest.mark.parametrize(("layer", "way"), [("files", "reading files"), ("calls", "the network")])
def test_a_box_with_a_way_out_is_not_used(
    places: Places, monkeypatch: pytest.MonkeyPatch, layer: str, way: str
) -> None:
    monkeypatch.setattr(tiers, "bubblewraps", lambda: [])
    without(layer, monkeypatch)
    with pytest.raises(SandboxRefused, match=f"these ways out are open: .*{way}"):
        tier_of(places)
    [message] = check_sandbox(None)
    assert message.id == "turnlog.W011"


@pytest.mark.parametrize("bubblewrap", [True, False])
def test_other_libraries_are_absent(
    places: Places, monkeypatch: pytest.MonkeyPatch, bubblewrap: bool
) -> None:
    if not bubblewrap:
        monkeypatch.setattr(tiers, "bubblewraps", lambda: [])
    outcome = places.run(("here", "ada"), "import pandas", None, 10.0, Call())
    assert "ModuleNotFoundError: No module named 'pandas'" in outcome.error


def test_a_bare_process_is_for_debug(
    places: Places, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(tiers, "bubblewraps", lambda: [])
    without("calls", monkeypatch)
    settings.TURNLOG = {**settings.TURNLOG, "SANDBOX_LEAST": "bare"}
    with pytest.raises(SandboxRefused):
        tier_of(places)
    settings.DEBUG = True
    assert tier_of(places) == "bare"


def test_full_is_what_the_project_may_ask_for(
    places: Places, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(tiers, "bubblewraps", lambda: [])
    settings.TURNLOG = {**settings.TURNLOG, "SANDBOX_LEAST": "full"}
    with pytest.raises(SandboxRefused, match="of the tier 'full' or better"):
        tier_of(places)


def test_the_best_tier_that_works_is_taken(places: Places) -> None:
    tier, worker = standing.first_worker(lambda start: start(), probe=True)
    worker.end()
    assert tier_of(places) == tier.name


def test_a_runner_starts_workers_elsewhere(places: Places, settings: Any) -> None:
    runner = {"SANDBOX_RUNNER": "tests.consumers.sandboxed.runner.start"}
    settings.TURNLOG = {**settings.TURNLOG, **runner}
    assert tier_of(places) == "runner"
    [message] = check_sandbox(None)
    assert message.level == checks.INFO
    settings.TURNLOG = {"SANDBOX_RUNNER": "tests.consumers.sandboxed.runner.nothing"}
    with pytest.raises(ConfigurationError, match="to return a process with pipes"):
        standing.first_worker(lambda start: start())
