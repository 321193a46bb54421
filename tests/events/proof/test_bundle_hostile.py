"""The offline verifier against files that are meant to harm it: one sentence, no traceback.

Real processes, isolated from the environment and from the checkout's folder.
"""

from __future__ import annotations

import copy
import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.events.proof.made import KEY, bundle, dump, example, example_bundle

pytestmark = pytest.mark.slow_once

MEMORY = 700 * 1024 * 1024
MODULE = ("-m", "turnlog.events.verify")


@dataclass
class Said:
    """How a process ended, and its one line."""

    code: int
    line: str


def run(*arguments: str | Path, python: tuple[str, ...] = MODULE, **options: Any) -> Said:
    """The verifier with little memory: always one line, which drives no terminal."""
    command = [sys.executable, "-I", *python, *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=120,
        cwd="/",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        **options,
    )
    printed = (done.stdout + done.stderr).decode()
    assert "Traceback" not in printed, printed
    assert done.returncode in (0, 1, 2), printed
    assert printed.endswith("\n")
    assert len(printed.splitlines()) == 1, printed
    assert not [sign for sign in printed[:-1] if ord(sign) < 32 or 127 <= ord(sign) < 160]
    assert len(printed) < 3000
    return Said(done.returncode, printed[:-1])


def refused(path: Path, data: bytes, says: str = "NOT intact: ") -> None:
    path.write_bytes(data)
    said = run(path)
    assert said.code == 1, said
    assert says in said.line, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.jsonl"


def test_it_says_so_in_one_line(path: Path) -> None:
    path.write_bytes(example_bundle())
    assert run(path) == Said(
        0,
        "intact: 5 events in 1 conversation, each from its beginning, 1 of the events"
        " erased; 4 proven by the checkpoint of example.com/chat at 8 events, 1 newer and not"
        f" signed yet; signed with the key {KEY.public}: make sure that this is the log's key",
    )
    assert run(path, "--key", str(KEY.public)).line.endswith(f"signed with your key {KEY.public}")
    said = json.loads(run(path, "--json", "--key", str(KEY.public)).line)
    assert said["ok"] is True
    assert said["trusted"] is True
    assert said["scope"] == {"conversations": [7]}
    assert (said["events"], said["proven"], said["erased"]) == (5, 4, 1)
    path.write_bytes(example_bundle()[:-1])
    said = run(path, "--json")
    assert said.code == 1
    assert json.loads(said.line) == {
        "ok": False,
        "error": "line 11: expected a line feed at its end, but the file is cut off",
    }


def test_it_needs_neither_django_nor_a_database(path: Path) -> None:
    path.write_bytes(example_bundle())
    script = (
        "import sys; from turnlog.events.verify import main; code = main(sys.argv[1:]);"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "sys.exit(3 if loaded & {'django', 'psycopg', 'sqlite3', 'langchain_core'} else code)"
    )
    # Measuring coverage would load sqlite3.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    assert run(path, python=("-c", script), env=plain).code == 0


def test_it_says_what_it_lacks(path: Path) -> None:
    path.write_bytes(example_bundle())
    script = (
        "import runpy, sys; sys.modules['cryptography'] = None;"
        "runpy.run_module('turnlog.events.verify', run_name='__main__', alter_sys=True)"
    )
    said = run(path, python=("-c", script))
    assert said == Said(2, "the signature needs the package `cryptography`; install it with pip")


# Files that cannot be read at all


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert run(tmp_path / "none") == Said(
        2, f"{tmp_path / 'none'} cannot be read: No such file or directory"
    )
    assert run(tmp_path) == Said(2, f"{tmp_path} cannot be read: Is a directory")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert run(loop).code == 2
    assert run(tmp_path / ("n" * 300)).code == 2
    assert run(tmp_path / "\x1b[31mred\nline\x9b").code == 2
    assert json.loads(run("--json", tmp_path).line)["ok"] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(path: Path) -> None:
    path.write_bytes(example_bundle())
    path.chmod(0)
    assert run(path).code == 2


def test_a_pipe_can_be_read(path: Path) -> None:
    path.write_bytes(gzip.compress(example_bundle()))
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
        assert run("/dev/stdin", stdin=cat.stdout).code == 0


# Files that are something else

NO_BUNDLE = "is no bundle that this version can check: expected a file that export_log wrote"
FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", NO_BUNDLE),
    "an empty line": (b"\n", NO_BUNDLE),
    "null": (b"null\n", NO_BUNDLE),
    "a number": (b"1\n", NO_BUNDLE),
    "an object": (b"{}\n", NO_BUNDLE),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", NO_BUNDLE),
    "a zip file": (b"PK\x03\x04" + bytes(100), NO_BUNDLE),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
    "NUL": (bytes(100_000), NO_BUNDLE),
    "noise": (bytes(range(256)) * 100, NO_BUNDLE),
    "UTF-16": ("{}\n".encode("utf-16"), NO_BUNDLE),
    "a byte order mark": (b"\xef\xbb\xbf" + example_bundle(), "line 1: "),
    "Latin-1": ('{"format":"é"}\n'.encode("latin-1"), NO_BUNDLE),
    "one more empty line": (example_bundle() + b"\n", "line 12: "),
    "carriage returns alone": (example_bundle().replace(b"\n", b"\r"), "line 1: "),
    "another format": (dump([{"format": "turnlog bundle v2"}]), NO_BUNDLE),
    "gzip, cut off": (gzip.compress(example_bundle())[:-9], "gzip"),
    "gzip, the header alone": (b"\x1f\x8b", "gzip"),
    "gzip of another kind": (b"\x1f\x8b\x07" + bytes(100), "gzip"),
    "gzip, damaged": (gzip.compress(example_bundle())[:200] + bytes(100), "gzip"),
    "gzip, and more": (gzip.compress(example_bundle()) + b"more", "gzip"),
    "gzip in gzip": (gzip.compress(gzip.compress(example_bundle())), NO_BUNDLE),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_file(path: Path, what: str) -> None:
    refused(path, *FOREIGN[what])


# Bombs


def test_a_line_of_gigabytes(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"format":"')
        block = b"a" * (1 << 24)
        for _ in range(128):
            file.write(block)
    assert path.stat().st_size < 20_000_000
    said = run(path)
    assert said == Said(1, "NOT intact: line 1: expected at most 67108864 bytes, found more")


def test_a_line_that_needs_more_memory_than_there_is(path: Path) -> None:
    path.write_bytes(b'{"format":[' + b"[]," * 20_000_000 + b"[]]}\n")
    said = run(path)
    assert said == Said(
        2, f"{path} cannot be read: one of its lines needs more memory than there is"
    )


def nested(text: str) -> bytes:
    lines = example_bundle().splitlines(keepends=True)
    return b"".join([lines[0].replace(b'{"conversations":[7]}', text.encode()), *lines[1:]])


DEEP: dict[str, bytes] = {
    "lists": nested("[" * 100_000 + "]" * 100_000),
    "objects": nested('{"a":' * 100_000 + "1" + "}" * 100_000),
    "lists without an end": b"[" * 10_000_000 + b"\n",
    "lists in a selection": nested('{"a":' + "[" * 40 + "]" * 40 + "}").replace(
        b'"complete":"conversations"', b'"complete":"selection"'
    ),
    "a number of a million digits": nested(f'{{"conversations":[{"7" * 1_000_000}]}}'),
    "a number of 4,000 digits": nested(f'{{"conversations":[{"7" * 4_000}]}}'),
    "a number as an exponent": nested('{"conversations":[7e0]}'),
    "a huge exponent": nested('{"conversations":[1e999999999]}'),
    "NaN": nested('{"conversations":[NaN]}'),
    "Infinity": nested('{"conversations":[-Infinity]}'),
    "a name twice": nested('{"conversations":[7],"conversations":[7]}'),
    "a million names": nested(
        "{" + ",".join(f'"{number}":{number}' for number in range(1_000_000)) + "}"
    ),
}


@pytest.mark.parametrize("what", DEEP)
def test_json_that_is_too_much(path: Path, what: str) -> None:
    says = NO_BUNDLE if what == "lists without an end" else "NOT intact: line 1: "
    refused(path, DEEP[what], says)


# Values that are not what they should be

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**63, -(2**63) - 1, 10**4000, "", "x", "\ud800", "\x1b]0;t\x07"),
    *([], {}, [None], {"a": 1}, "0" * 64, "ＡＢ" * 32, "'; DROP TABLE", "../../etc/passwd"),
]


def wrong_values() -> Iterator[tuple[str, bytes]]:
    """A bundle with one value replaced, for each value of each kind of line."""
    lines = bundle(example(), "conversations", lambda line: line["stream_id"] == 7, size=8)
    for place in (0, 1, 2, 3, 4, 6, 7, 8, 9):
        for name in lines[place]:
            for value in VALUES:
                if value == lines[place][name] and type(value) is type(lines[place][name]):
                    continue
                changed = copy.deepcopy(lines)
                changed[place][name] = value
                yield (
                    f"{place} {name}",
                    b"".join(json.dumps(line).encode() + b"\n" for line in changed),
                )


def test_wrong_values_everywhere(tmp_path: Path) -> None:
    """All in one process, which shows what each call prints and how it would have ended."""
    script = tmp_path / "all.py"
    script.write_text(
        "import io, sys, contextlib\n"
        "from pathlib import Path\n"
        "from turnlog.events.verify import main\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    said = io.StringIO()\n"
        "    with contextlib.redirect_stderr(said):\n"
        "        code = main([str(path)])\n"
        "    lines = said.getvalue().splitlines()\n"
        "    if code != 1 or len(lines) != 1 or not lines[0].isprintable():\n"
        "        print(path.name, code, ascii(lines))\n"
    )
    folder = tmp_path / "bundles"
    folder.mkdir()
    count = 0
    for count, (name, data) in enumerate(wrong_values(), 1):
        (folder / f"{count} {name}").write_bytes(data)
    assert count > 800
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Keys

KEYS: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no key": lambda: "key",
    "another's": lambda: f"{KEY.public}x",
    "not its own hash": lambda: str(KEY.public).replace("+", "+0", 1)[:-1],
    "a private one": lambda: KEY.secret(),
    "control characters": lambda: "\x1b[31m+00000000+AA==",
    "control characters of C1": lambda: "\x9b31m+00000000+AA==",
    "half a pair": lambda: os.fsdecode(b"\xff\xfe+00000000+AA=="),
    "very long": lambda: "a" * 100_000,
    "a path": lambda: "/etc/passwd",
}


@pytest.mark.parametrize("what", KEYS)
def test_a_key_that_is_none(path: Path, what: str) -> None:
    path.write_bytes(example_bundle())
    said = run(path, f"--key={KEYS[what]()}")
    assert said.code == 2
    assert said.line.startswith("--key: ")
    assert KEY.secret().rsplit("+", 1)[1] not in said.line


def test_another_key_is_told_as_such(path: Path) -> None:
    from turnlog.events.proof.notes import SigningKey

    path.write_bytes(example_bundle())
    newer = SigningKey(KEY.name, bytes(range(1, 33))).public
    said = run(path, "--key", str(newer))
    assert said.code == 1
    assert said.line.startswith(
        f"NOT signed with your key: expected the signature of {newer}, found that of {KEY.public}; "
    )
    other = SigningKey("other.example/chat", KEY.seed).public
    assert run(path, "--key", str(other)) == Said(
        1,
        "NOT signed with your key: expected a bundle of the log other.example/chat, as your key is,"
        " found one of the log example.com/chat",
    )
    assert run(path, "--key", str(other), "--key", str(KEY.public)).code == 0
    assert "found a private one" in run(path, f"--key={KEY.secret()}").line


def test_no_name_drives_the_terminal(path: Path) -> None:
    """The names of keys and logs in a bundle are anybody's words."""
    lines = bundle(example())
    note = lines[0]["checkpoint"]
    for name in ("\x1b]0;owned\x07", "\x9b2J", "\u202egnp", "a\rb", "\u2028", "\u200b" * 200):
        lines[0]["checkpoint"] = note.replace("example.com/chat", name)
        refused(path, dump(lines))
        lines[0]["key"] = f"{name}{str(KEY.public).removeprefix('example.com/chat')}"
        refused(path, dump(lines))
        lines[0]["key"] = str(KEY.public)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    for arguments in ([], ["--no-such-option"], ["a", "b"]):
        done = subprocess.run(
            [sys.executable, "-I", *MODULE, *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_terminal_of_another_encoding_is_told_as_well(path: Path) -> None:
    from turnlog.events.proof.notes import SigningKey

    key = SigningKey("로그.example", bytes(32))
    path.write_bytes(dump(bundle(example(), key=key)))
    script = (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'ascii');"
        "from turnlog.events.verify import main; sys.exit(main(sys.argv[1:]))"
    )
    said = run(path, python=("-c", script))
    assert said.code == 0
    assert "the checkpoint of \\ub85c\\uadf8.example at" in said.line


@pytest.mark.parametrize(
    ("raised", "says"),
    [(KeyboardInterrupt(), "interrupted"), (MemoryError(), "more memory"), (OSError(5, "I"), "I")],
)
def test_what_ends_it_early_is_said(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    says: str,
) -> None:
    from turnlog.events import verify

    def fail(*arguments: Any) -> None:
        raise raised

    path.write_bytes(example_bundle())
    monkeypatch.setattr(verify, "verify", fail)
    assert verify.main([str(path)]) == 2
    assert says in capsys.readouterr().err
