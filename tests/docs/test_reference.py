"""The reference pages list every setting, attribute, hook, check, command and tag."""

from __future__ import annotations

import ast
import dataclasses
import re
from importlib import import_module

import pytest
from django.core.management import get_commands, load_command_class

from tests.docs.pages import ROOT, codes, rows, section, text_of
from turnlog.consumers import AgentChatConsumer
from turnlog.consumers.mixins import AgentMixin, ChatMixin, LLMMixin
from turnlog.consumers.mixins.approval import ApprovalMixin
from turnlog.consumers.mixins.limits import LimitsMixin
from turnlog.core import codec, conf
from turnlog.core.codec.dispatch import DECODERS

pytestmark = pytest.mark.slow_once


def test_settings_are_documented_with_their_defaults() -> None:
    documented = {
        codes(row[0])[0]: ast.literal_eval(codes(row[1])[0])
        for row in rows(section(text_of("docs/settings.md"), "## `TURNLOG`"))
    }
    defaults = conf.Settings()
    expected = {
        field.name.upper(): getattr(defaults, field.name)
        for field in dataclasses.fields(conf.Settings)
    }
    assert documented == expected


def test_consumer_attributes_are_documented_with_their_defaults() -> None:
    text = text_of("docs/settings.md")
    documented = {
        codes(row[0])[0]: codes(row[1])[0]
        for row in rows(section(text, "## A consumer's attributes"))
    }
    public = {
        name
        for mixin in (ApprovalMixin, LimitsMixin, LLMMixin, AgentMixin)
        for name in mixin.__annotations__
        if not name.startswith("_")
    } - {"current_turn"}
    assert set(documented) == public
    for name, shown in documented.items():
        value = getattr(AgentChatConsumer, name)
        assert shown.replace('"', "'") in (repr(value), str(value)), name


def test_hooks_are_documented() -> None:
    page = section(text_of("docs/settings.md"), "## Methods to override")
    named = {
        re.match(r"(?:async )?(\w+)", code)[1]  # type: ignore[index]
        for row in rows(page)
        for code in codes(row[0])
    }
    for name in named:
        assert callable(getattr(AgentChatConsumer, name)), name
    public = {
        name
        for mixin in (ApprovalMixin, LLMMixin, AgentMixin, ChatMixin)
        for name, value in vars(mixin).items()
        if callable(value) and not name.startswith("_")
    }
    assert public - named == {"aget_setup", "render_template"}


def test_system_checks_are_documented() -> None:
    used = {
        found
        for folder in ("core", "events", "projections", "consumers")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r'id="(turnlog\.[A-Z]\d+)"', path.read_text(encoding="utf-8"))
    }
    listed = {
        codes(row[0])[0] for row in rows(section(text_of("docs/settings.md"), "## System checks"))
    }
    assert listed == used


def test_commands_are_documented() -> None:
    page = section(text_of("docs/operations.md"), "## Commands")
    documented = {
        match[1]: set(re.findall(r"--([\w-]+)", match[2]))
        for match in re.finditer(r"^\| `(\w+) ?(.*?)` \|", page, re.MULTILINE)
    }
    ours = {name for name, app in get_commands().items() if str(app).startswith("turnlog.")}
    assert set(documented) == ours
    for name in ours:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        django_own = {"help", "version", "verbosity", "settings", "pythonpath", "traceback"}
        django_own |= {"no-color", "force-color", "skip-checks", "json"}
        options = {
            o[2:] for action in parser._actions for o in action.option_strings if o[:2] == "--"
        }
        # A command may have a --version of its own.
        assert documented[name] == options - (django_own - documented[name])


def test_codec_tags_are_documented() -> None:
    for name in ("images", "frames.numpy_arrays", "frames.pandas_frames"):
        import_module(f"turnlog.core.codec.{name}")  # They fill the table when they are needed.
    page = text_of("docs/codec.md")
    missing = {tag for tag in DECODERS if f"`{tag}`" not in page}
    messages = {tag for tag in missing if re.fullmatch(r"\w+Message(Chunk)?", tag)}
    # Legacy tags are read and never written.
    assert missing - messages == {"DataFrame", "Series"}
    assert f"nest {codec.MAX_DEPTH} levels deep" in page


def test_benchmark_figures_are_those_that_are_measured() -> None:
    pattern = r'\(\s*"([^"]+)",\s*[\w.]+,\s*"(at \w+)",\s*([\d.]+),?\s*\)'
    measured = re.findall(pattern, text_of("tests/benchmarks/run.py"))
    shown = rows(text_of("docs/benchmarks.md"))
    assert [row[:2] for row in shown] == [[name, f"{bound} {n}"] for name, bound, n in measured]
