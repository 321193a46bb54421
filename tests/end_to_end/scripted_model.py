"""A model server whose every byte, and the moment it is sent, is a test's to decide."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any]], Iterator[bytes]]


def delta(text: str = "", finish_reason: str | None = None) -> bytes:
    """One chunk of OpenAI's stream."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def endless(text: str) -> Script:
    """Says a text and then nothing more, without ever ending, until nobody listens."""

    def script(request: dict[str, Any]) -> Iterator[bytes]:
        yield delta(text)
        while True:
            time.sleep(0.05)
            yield b": still thinking\n\n"

    return script


class ScriptedModel:
    """Set `script` to what answers the next requests: bytes of an event stream."""

    def __init__(self) -> None:
        self.script: Script = lambda request: iter([delta("Hello."), delta("", "stop"), DONE])
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(length))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                with contextlib.suppress(OSError):  # Whoever asked may have gone.
                    for part in model.script(request):
                        self.wfile.write(part)
                        self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def say(self, *parts: bytes) -> None:
        """Answer the next requests with these bytes."""
        self.script = lambda request: iter(parts)

    @contextlib.contextmanager
    def running(self) -> Iterator[ScriptedModel]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(30)
