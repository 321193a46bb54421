"""What OpenAI's protocol says in a stream, and LangChain leaves out.

LangChain's client drops a refusal's words, a reason to end in a chunk without a `delta`, what the
models of other makers think (DeepSeek's `reasoning_content`), and the `[DONE]` that tells a whole
answer from a connection that was cut. `observed` returns a model whose
client notes them; everything else passes through unchanged.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

_DONE = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]")


@dataclass
class Noted:
    """What one call's stream has said."""

    refusal: str = ""
    finish_reason: str = ""
    failed: bool = False
    """Whether the server told of an error, as a chunk among the others (vLLM does)."""
    done: bool = False
    """Whether the stream came to its end, as far as can be told."""
    answered: bool = False
    """Whether the server has begun an answer: what its client raises is about that."""
    thought: str = ""
    """What the model has thought since the last chunk that was completed."""

    def completed(self, chunk: Any) -> Any:
        """Return LangChain's chunk with what it left out of what the model thinks."""
        thought, self.thought = self.thought, ""
        kwargs = chunk.additional_kwargs
        if not thought or kwargs.get("reasoning_content"):
            return chunk  # The client of the model's maker has it already.
        return chunk.model_copy(
            update={"additional_kwargs": {**kwargs, "reasoning_content": thought}}
        )


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

    @property
    def with_raw_response(self) -> _Raw:
        return _Raw(self._completions.with_raw_response)

    async def create(self, **payload: Any) -> Any:
        return _noting(await self._completions.create(**payload))


class _Raw:
    """The same, if the client asks for the answer's headers too."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    async def create(self, **payload: Any) -> Any:
        response = await self._raw.create(**payload)
        parse = response.parse
        response.parse = lambda *args, **kwargs: _noting(parse(*args, **kwargs))
        return response


def _noting(answer: Any) -> Any:
    """Return a stream that is noted; anything else as it is, but without a count that is none."""
    into = noted.get()
    _forget_odd_usage(answer)
    if into is not None:
        into.answered = True
    response = getattr(answer, "response", None)
    if into is None or response is None or not hasattr(answer, "__aiter__"):
        return answer
    return _Stream(answer, into)


class _Stream:
    """OpenAI's stream of chunks."""

    def __init__(self, stream: Any, into: Noted) -> None:
        self._stream = stream
        self._into = into
        response = stream.response
        if response.headers.get("content-encoding", "identity") == "identity":
            response.stream = _watching(response.stream, into)
        else:
            into.done = True  # Nothing can be seen in it, but its decoder notices a cut.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> _Stream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stream.__aexit__(*error)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._stream:
            _forget_odd_usage(chunk)
            self._into.failed |= getattr(chunk, "object", "") == "error"
            for choice in getattr(chunk, "choices", None) or ():
                if reason := getattr(choice, "finish_reason", None):
                    self._into.finish_reason = str(reason)
                delta = getattr(choice, "delta", None)
                if words := getattr(delta, "refusal", None):
                    self._into.refusal += str(words)
                for name in ("reasoning_content", "reasoning"):  # As OpenRouter calls it.
                    if isinstance(words := getattr(delta, name, None), str):
                        self._into.thought += words
                        break
            yield chunk


_COUNTS = ("prompt_tokens", "completion_tokens")
_DETAILS = {
    "prompt_tokens_details": ("audio_tokens", "cached_tokens", "cache_write_tokens"),
    "completion_tokens_details": ("audio_tokens", "reasoning_tokens"),
}


def _forget_odd_usage(answer: Any) -> None:
    """Remove a usage whose counts are none, for which LangChain would drop the whole answer."""
    usage = getattr(answer, "usage", None)
    if usage is None:
        return
    known = all(_is_count(getattr(usage, name, None)) for name in _COUNTS)
    counts = [getattr(usage, "total_tokens", None)]
    for name, inner in _DETAILS.items():
        details = getattr(usage, name, None)
        known = known and (details is None or hasattr(details, "model_dump"))
        counts += [getattr(details, each, None) for each in inner]
    if not known or not all(count is None or _is_count(count) for count in counts):
        answer.usage = None


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**53 and value == int(value)


def _watching(stream: Any, into: Noted) -> Any:
    """Return the response's stream of bytes, which notes the protocol's last line."""
    # The client accepts only a stream of its own HTTP library's class.
    classes = [cls for cls in type(stream).__mro__ if cls.__name__ == "AsyncByteStream"]
    if not classes:
        return stream
    base: Any = classes[0]

    # mypy knows no base that is found at run time.
    class Watching(base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            tail = b""
            async for piece in stream:
                tail = (tail + piece)[-32:] if len(piece) < 32 else piece[-32:]
                into.done = into.done or _DONE.search(tail) is not None
                yield piece

        async def aclose(self) -> None:
            await stream.aclose()

    return Watching()
