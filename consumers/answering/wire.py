"""What OpenAI's protocol says in a stream, and LangChain leaves out.

LangChain's client drops a refusal's words, a reason to end in a chunk without a `delta`, and the
`[DONE]` that tells a whole answer from a connection that was cut. `observed` returns a model whose
client notes them; everything else passes through unchanged.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Noted:
    """What one call's stream has said."""

    refusal: str = ""
    finish_reason: str = ""
    done: bool = False


noted: contextvars.ContextVar[Noted | None] = contextvars.ContextVar("turnlog_noted", default=None)
"""Where the call that is being made in this context notes."""


def observed(llm: Any) -> Any:
    """Return a chat model whose streams are noted; the same one if it is not of OpenAI's class."""
    client = getattr(llm, "async_client", None)
    is_openai = any(cls.__name__ == "BaseChatOpenAI" for cls in type(llm).__mro__)
    if not is_openai or client is None or isinstance(client, _Completions):
        return llm
    return llm.model_copy(update={"async_client": _Completions(client)})


class _Completions:
    """OpenAI's `chat.completions`."""

    def __init__(self, completions: Any) -> None:
        self._completions = completions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def create(self, **payload: Any) -> Any:
        answer = await self._completions.create(**payload)
        into = noted.get()
        if into is None or not hasattr(answer, "__aiter__"):
            return answer
        return _Stream(answer, into)


class _Stream:
    """OpenAI's stream of chunks."""

    def __init__(self, stream: Any, into: Noted) -> None:
        self._stream = stream
        self._into = into
        response = stream.response
        response.stream = _watching(response.stream, into)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> _Stream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stream.__aexit__(*error)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._stream:
            for choice in getattr(chunk, "choices", None) or ():
                if reason := getattr(choice, "finish_reason", None):
                    self._into.finish_reason = str(reason)
                if words := getattr(getattr(choice, "delta", None), "refusal", None):
                    self._into.refusal += str(words)
            yield chunk


def _watching(stream: Any, into: Noted) -> Any:
    """Return the response's stream of bytes, which notes the protocol's last line."""
    # The client accepts only a stream of its own HTTP library's class.
    base: Any = next(cls for cls in type(stream).__mro__ if cls.__name__ == "AsyncByteStream")

    # mypy knows no base that is found at run time.
    class Watching(base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            tail = b""
            async for piece in stream:
                tail = (tail + piece)[-32:] if len(piece) < 32 else piece[-32:]
                into.done = into.done or b"[DONE]" in tail
                yield piece

        async def aclose(self) -> None:
            await stream.aclose()

    return Watching()
