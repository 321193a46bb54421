"""docs/projections.md: its tables are the class's, the commands' and the code's."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from django.core.management import load_command_class

from tests.docs.pages import codes, rows, section, text_of
from turnlog.core import retrying
from turnlog.projections.engine import chunks as rebuild
from turnlog.projections.engine import reading, status
from turnlog.projections.engine.projection import Projection
from turnlog.projections.engine.registry import named
from turnlog.projections.models import Checkpoint, Parked

PAGE = text_of("docs/projections.md")


def test_attributes_are_documented_with_their_defaults() -> None:
    tables = section(PAGE, "## `Projection`").split("Methods that you write:")
    documented = {codes(row[0])[0]: codes(row[1])[0] for row in rows(tables[0])}
    assert documented == {name: repr(getattr(Projection, name)) for name in attributes()}


def attributes() -> list[str]:
    return list(Projection.__annotations__)


def test_methods_are_documented_with_their_parameters() -> None:
    tables = section(PAGE, "## `Projection`").split("Methods that you write:")[1]
    tables = tables.split("### `register`")[0]
    documented = {codes(row[0])[0] for row in rows(tables)}
    public = {
        name: value
        for name, value in vars(Projection).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert documented == {f"{name}{parameters(value)}" for name, value in public.items()}


def parameters(function: Any) -> str:
    found = list(inspect.signature(function).parameters.values())[1:]
    return str(
        inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in found])
    )


def test_states_are_those_that_are_judged() -> None:
    documented = [codes(row[0])[0] for row in rows(section(PAGE, "## `projection_status`"))]
    judged = re.findall(r'return "([a-z ]+)", ', inspect.getsource(status._judge))
    assert len(documented) == len(set(documented))
    assert set(documented) == set(judged)


def test_what_is_printed_as_json_is_documented() -> None:
    page = section(PAGE, "## `projection_status`")
    for name in status.Status.__dataclass_fields__:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("command", ["rebuild_projections"])
def test_options_are_documented(command: str) -> None:
    documented = {
        codes(row[0])[0].split()[0]
        for row in rows(section(PAGE, "## Rebuilding: `rebuild_projections`"))
    }
    parser = load_command_class("turnlog.projections", command).create_parser("manage.py", command)
    ours = {
        action.option_strings[0]
        for action in parser._actions
        if action.option_strings and action.help and action.container.title != "help"
    }
    django_own = {"-h", "--version", "-v", "--settings", "--pythonpath", "--traceback"}
    django_own |= {"--no-color", "--force-color", "--skip-checks", "--json"}
    assert documented == ours - django_own


def test_figures_are_those_of_the_code() -> None:
    for figure in (
        f"up to {reading.BATCH:,}\n  events",
        f"some {rebuild.STREAMS} of them or some {rebuild.EVENTS:,} events",
        f"none has for {status.SILENT_SECONDS:.0f} seconds",
        f"after pauses of {retrying.EVENT_PAUSE:.0f} and {2 * retrying.EVENT_PAUSE:.0f} seconds",
    ):
        assert figure in PAGE, figure
    assert retrying.EVENT_TRIES == 3
    assert "It is tried three times" in PAGE


def test_turnlogs_own_are_listed() -> None:
    table = rows(PAGE.split("## `Projection`")[0])
    listed = {codes(row[0])[0]: (row[1] == "inline", codes(row[2])[0]) for row in table}
    for name, (inline, db_table) in listed.items():
        [projection] = named([name])
        assert projection.model is not None
        assert (projection.inline, projection.model._meta.db_table) == (inline, db_table)
    ours = {each.name for each in named([]) if type(each).__module__.startswith("turnlog.")}
    assert set(listed) == ours
    tables = {codes(row[0])[0] for row in rows(section(PAGE, "## Where it stands in the database"))}
    assert tables == {Checkpoint._meta.db_table, Parked._meta.db_table}
