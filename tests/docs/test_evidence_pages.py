"""docs/evidence.md and docs/bundle-format.md: what they show is what is written and said."""

from __future__ import annotations

import dataclasses
import json
import re

from tests.docs.pages import codes, rows, section, text_of
from tests.events.proof.made import KEY, bundle, example, tree_root
from turnlog.events.proof import lines, notes, walk
from turnlog.events.proof.merkle import leaf_hash

PAGE = text_of("docs/bundle-format.md")


def named_in(heading: str) -> list[str]:
    return [codes(row[0])[0] for row in rows(section(PAGE, heading)) if codes(row[0])]


def test_each_kind_of_line_has_the_names_of_the_page() -> None:
    log = example()
    lines = bundle(log, "selection", lambda line: line["position"] != 1, size=8)
    kinds = {
        "### An event": next(line for line in lines if "previous" in line),
        "### A skip": next(line for line in lines if "skip" in line),
        "### A content": next(line for line in lines if "content" in line),
        "### The end": lines[-1],
    }
    for heading, line in kinds.items():
        assert named_in(heading) == list(line), heading
    manifest = rows(section(PAGE, "### The manifest"))
    assert [codes(row[0])[0] for row in manifest[:5]] == list(lines[0])
    assert [codes(row[0])[0] for row in manifest[5:]] == list(walk.COMPLETE)


def test_the_worked_example_is_recomputed() -> None:
    leaves = [leaf_hash(bytes.fromhex(line["hash"])) for line in example().events]
    shown = re.findall(
        r"^```text\n([0-9a-f]{64})\n```$", section(PAGE, "## A worked example"), re.M
    )
    trees = (leaves[:1], leaves[:4], leaves[4:8], leaves[:8])
    assert shown == [tree_root(tree).hex() for tree in trees]
    manifest = json.loads(text_of("docs/examples/bundle.jsonl").partition("\n")[0])
    assert f"```text\n{manifest['checkpoint']}```\n" in PAGE
    assert manifest["key"] == str(KEY.public)


def test_limits_are_those_that_are_kept() -> None:
    assert f"A line has at most {lines.MAX_LINE:,} bytes" in PAGE
    assert f"It has at most {notes.MAX_LENGTH:,} characters" in PAGE
    assert f"the text `{walk.FORMAT}`" in PAGE
    for name in walk.NEVER_ERASED:
        assert f"`{name}`" in section(PAGE, "## Erased events")


def test_every_fact_of_the_json_is_told() -> None:
    told = section(text_of("docs/evidence.md"), "## Verifying a bundle")
    for field in dataclasses.fields(walk.Result):
        assert f"`{field.name}`" in told, field.name
