"""Imports run down the floors of the house, as `make check` sees to."""

from __future__ import annotations

from pathlib import Path

import pytest

from .floors import Tree

ROOT = Path(__file__).parent.parent

# From the roof to the ground. Names on one line know nothing of one another; a file's own entry
# goes before its folder's.
FLOORS = """
consumers/turnlog/

consumers/__init__.py
consumers/apps.py
consumers/conversations/ consumers/neighbours/
consumers/chat.py consumers/lifespan.py consumers/review/ consumers/templatetags/
consumers/stream/
consumers/analysis/
consumers/attachments/urls.py
consumers/attachments/views.py
consumers/http/ consumers/review/revealing.py
consumers/review/recording.py
consumers/review/access.py consumers/socket/
consumers/answering/
consumers/mixins/
consumers/page/
consumers/markdown/
consumers/obstacles.py consumers/sandbox/
consumers/checks.py
consumers/attachments/
consumers/live.py consumers/routing.py
consumers/telling.py
consumers/endings.py consumers/failures.py consumers/thoughts.py

projections/__init__.py
projections/apps.py
projections/admin.py projections/management/ projections/migrations/
projections/trail.py
projections/models.py projections/transcript.py
projections/outline.py
projections/queues/
projections/overview/
projections/accesses/ projections/reviews/ projections/views/
projections/search/ projections/travel/ projections/usage/
projections/messages/
projections/blobs.py
projections/engine/

events/__init__.py
events/apps.py
events/admin.py events/management/ events/migrations/
events/accesses.py events/reviews.py events/rooms.py events/testing.py events/verify.py
events/verifications.py events/views.py
events/models.py
events/turn_block.py
events/erasure/
events/approvals.py events/choosing.py
events/beside.py events/changes.py events/forks.py events/summaries.py events/turns.py
events/places.py
events/proof/
events/log.py
events/attempt.py
events/chain.py events/durable.py events/hooks.py events/listed.py events/moments.py
events/branches.py events/runners.py events/waiting.py
events/drafts.py events/uploads.py
events/arguments.py events/blobs.py events/fixtures.py events/payloads.py events/prompt.py
events/standing.py
events/store/
events/tables/
events/rounds.py events/tool_outputs.py events/upcasters.py
events/types.py

core/__init__.py
core/apps.py
core/attached.py core/masking/ core/sendable.py
core/admin.py core/checks.py core/codec/ core/commands.py core/asynchronous.py core/readable.py
core/conf.py core/faults.py core/fields.py core/files.py core/hurry.py core/users.py
core/media_types.py core/output.py core/retrying.py core/specs.py core/terminal.py
core/content_blocks.py core/daemons.py core/wellformed.py core/wording.py
core/errors.py core/escaped.py core/origins.py
""".strip().splitlines()


def test_the_house_stands() -> None:
    found = Tree(ROOT, FLOORS).problems()
    assert not found, "\n".join(found)


def problems(root: Path, floors: list[str], **files: str) -> list[str]:
    """The problems of a made-up tree: `core__a="..."` is the file core/a.py."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(root, floors).problems()


def test_imports_down_are_in_order(tmp_path: Path) -> None:
    (tmp_path / "consumers" / "turnlog").mkdir(parents=True)
    (tmp_path / "consumers" / "turnlog" / "front.py").write_text(
        "from turnlog.consumers.chat import Chat\n"
    )
    assert not problems(
        tmp_path,
        ["consumers/turnlog/", "consumers/", "core/"],
        consumers__chat="from ..core import conf\nfrom . import page\n",
        consumers__page="",
        core__conf="import os\n",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "from ..consumers import live",
        "from ..consumers.live import wake",
        "def f():\n    from ..consumers import live  # lazy: a reason does not turn it round",
        "if TYPE_CHECKING:\n    from ..consumers.live import wake",
        "class C:\n    from ..consumers import live",
    ],
)
def test_an_import_upwards_is_found(tmp_path: Path, statement: str) -> None:
    assert problems(
        tmp_path, ["consumers/", "core/"], core__conf=statement, consumers__live=""
    ) == [
        f"core/conf.py:{statement.count(chr(10)) + 1} imports consumers/live.py,"
        " which is not below it"
    ]


def test_an_import_along_a_floor_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, ["core/a.py core/b.py"], core__a="from . import b\n", core__b="") == [
        "core/a.py:1 imports core/b.py, which is not below it"
    ]


@pytest.mark.parametrize(
    "back",
    [
        "from .a import name",
        "if TYPE_CHECKING:\n    from .a import name",
        "def f():\n    from . import a  # lazy: the circle",
    ],
)
def test_a_circle_of_files_is_found(tmp_path: Path, back: str) -> None:
    assert problems(
        tmp_path,
        ["core/"],
        core__a="from . import b\n",
        core__b="from .c import name\n",
        core__c=back,
    ) == ["a circle of imports: core/a.py -> core/b.py -> core/c.py -> core/a.py"]


def test_each_circle_is_found(tmp_path: Path) -> None:
    files = {"a": "b", "b": "a", "c": "d", "d": "c"}
    assert (
        len(
            problems(
                tmp_path,
                ["core/"],
                **{f"core__{name}": f"from . import {other}\n" for name, other in files.items()},
            )
        )
        == 2
    )


def test_a_module_on_no_floor_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, ["core/a.py"], core__a="", core__b="") == [
        "core/b.py stands on no floor; list it or its folder"
    ]


def test_a_floor_without_files_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, ["core/a.py", "core/gone/"], core__a="") == [
        "a floor lists core/gone/, and no file stands there"
    ]


@pytest.mark.parametrize(
    "statement",
    ["from . import b", "from .b import name", "import json", "from psycopg import adapters"],
)
def test_an_import_in_a_function_needs_a_reason(tmp_path: Path, statement: str) -> None:
    floors = ["core/a.py", "core/b.py"]
    without = f"def f():\n    # Because.\n    {statement}\n"
    assert problems(tmp_path, floors, core__a=without, core__b="") == [
        "core/a.py:3 imports in a function without `# lazy: reason`"
    ]
    on_the_line = f"def f():\n    {statement}  # lazy: optional\n"
    assert not problems(tmp_path, floors, core__a=on_the_line)
    above = f"def f():\n    # lazy: optional, and\n    # slow\n    {statement}\n"
    assert not problems(tmp_path, floors, core__a=above)


def test_one_reason_is_enough_for_a_block(tmp_path: Path) -> None:
    block = "def f():\n    # lazy: slow\n    from .b import (\n    x)\n    from .b import y\n"
    floors = ["core/a.py", "core/b.py"]
    assert not problems(tmp_path, floors, core__a=block, core__b="")
    apart = block.replace("    from .b import y", "\n    from .b import y")
    assert problems(tmp_path, floors, core__a=apart) == [
        "core/a.py:6 imports in a function without `# lazy: reason`"
    ]


def test_slow_and_optional_libraries_need_no_reason(tmp_path: Path) -> None:
    text = "def f():\n    import numpy as np\n    from langchain_core.tools import tool\n"
    assert not problems(tmp_path, ["core/"], core__a=text)
    assert problems(tmp_path, ["core/"], core__a="def f():\n    import pandas, json\n")


def test_a_package_gives_names_of_what_is_below_it_lazily(tmp_path: Path) -> None:
    floors = ["core/__init__.py", "core/a.py core/b.py"]
    lazy = (
        "if TYPE_CHECKING:\n    from .a import name\ndef __getattr__(name):\n    from . import b\n"
    )
    assert not problems(tmp_path, floors, core____init__=lazy, core__a="", core__b="")
    assert problems(tmp_path, floors, core__b="from . import name\n") == [
        "core/b.py:1 imports core/__init__.py, which is not below it"
    ]
    assert problems(tmp_path, floors, core____init__="from .a import name\n", core__b="") == [
        "core/__init__.py:1 imports at once what stands below it"
    ]


def test_rooms_import_one_another_by_relative_names(tmp_path: Path) -> None:
    assert problems(
        tmp_path,
        ["events/", "core/"],
        events__log="from turnlog.core import conf\n",
        core__conf="",
    ) == ["events/log.py:1 imports turnlog by its absolute name"]
