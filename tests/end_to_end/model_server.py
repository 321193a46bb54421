"""A model server that speaks OpenAI's protocol: aimock, a program of npm's, run by node."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .npm import environment, installed, node
from .places import free_port, wait_for_port

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"


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

    def think_and_call(
        self, to: str, calls: list[tuple[str, dict[str, Any]]], then: str, thought: str
    ) -> None:
        """Call tools for whoever says `to`, and with their results think, and say `then`."""
        made = [{"name": name, "arguments": arguments} for name, arguments in calls]
        self._add({"userMessage": to, "hasToolResult": False}, {"toolCalls": made})
        said = {"content": then, "reasoning": thought}
        self._add({"userMessage": to, "hasToolResult": True}, said, chunkSize=8, latency=20)

    def refuse(self, to: str, status: int, message: str, kind: str = "error") -> None:
        """Answer whoever says `to` with an HTTP error."""
        error = {"message": message, "type": kind}
        self._add({"userMessage": to}, {"error": error, "status": status})

    def requests(self, containing: str) -> list[dict[str, Any]]:
        """The requests whose last user message holds some words, in order: `timestamp` in
        milliseconds, `headers` and `body` of each."""
        with urllib.request.urlopen(f"{self._control}/journal", timeout=30) as answer:
            entries = json.load(answer)
        return [entry for entry in entries if containing in _last_said(entry)]

    def _add(self, match: dict[str, Any], response: dict[str, Any], **more: Any) -> None:
        fixture = {"match": match, "response": response, **more}
        request = urllib.request.Request(
            f"{self._control}/fixtures",
            json.dumps({"fixtures": [fixture]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


def _last_said(entry: dict[str, Any]) -> str:
    messages = (entry.get("body") or {}).get("messages", [])
    said = [message["content"] for message in messages if message["role"] == "user"]
    return said[-1] if said else ""


@contextlib.contextmanager
def running_model_server(folder: Path) -> Iterator[ModelServer]:
    """aimock on a free port; gone afterwards."""
    package = installed(PACKAGE, VERSION)
    fixtures = folder / "fixtures.json"
    opening = {"match": {"userMessage": "첫 문장으로"}, "response": {"content": "您好！"}}
    fixtures.write_text(json.dumps({"fixtures": [opening]}), encoding="utf-8")
    port = free_port()
    log = folder / "aimock.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(node(), str(package / "dist" / "cli.js"), "--host", "127.0.0.1"),
                *("--port", str(port), "--fixtures", str(fixtures), "--log-level", "warn"),
            ],
            env=environment(),
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
        process.wait(30)
