"""What a tool has returned: the value for the log, and the text that the model reads.

LangChain makes a text of whatever a tool returns, before anybody else sees the value: of a table's
200 rows, 10 are left. `keeping` returns a tool that hands the value over beside that text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import codec
from ...core.asynchronous import in_thread
from ...core.codec.encoded import Encoded
from ...core.codec.json_text import chunks, pieces
from ...core.content_blocks import content_blocks
from ...core.errors import CodecError
from ...core.wellformed import wellformed, wellformed_value
from ...core.wording import text_of
from ..mixins.limits import Limits
from .collector import collector_waits
from .contained import contained

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool


class ToolValue(NamedTuple):
    """A tool's value (a str, None, or the text of its document), the content that the model reads,
    and the value as text for people."""

    value: Any
    content: Any
    shown: str
    failed: bool = False


class NotKept(Exception):
    """A tool returned what the log cannot keep; the message is for the model and the log."""


@dataclass(frozen=True, slots=True)
class _Returned:
    value: Any


def keeping(tool: BaseTool) -> BaseTool:
    """Return the same tool, with what it returns as the artifact of its message."""
    copy: Any = tool.model_copy(update={"response_format": "content_and_artifact"})
    both = tool.response_format == "content_and_artifact"
    run: Any = tool._run
    arun: Any = tool._arun

    @functools.wraps(run)
    def kept_run(*args: Any, **kwargs: Any) -> Any:
        value = run(*args, **kwargs)
        return value if both else (_told(value), _Returned(value))

    @functools.wraps(arun)
    async def kept_arun(*args: Any, **kwargs: Any) -> Any:
        value = await contained(arun(*args, **kwargs))
        return (
            value if both else (await in_thread(functools.partial(_told, value)), _Returned(value))
        )

    # Set on the object, because LangChain asks the class whether it has an `_arun` of its own.
    object.__setattr__(copy, "_run", kept_run)
    if type(tool)._arun is not _base_arun():
        object.__setattr__(copy, "_arun", kept_arun)
    kept: BaseTool = copy
    return kept


def is_async(tool: BaseTool) -> bool:
    """Return whether a tool runs on the event loop, not in a thread."""
    from langchain_core.tools import StructuredTool, Tool

    if isinstance(tool, StructuredTool | Tool):
        return tool.coroutine is not None  # As their own `ainvoke` decides.
    return type(tool)._arun is not _base_arun()


def _base_arun() -> Any:
    from langchain_core.tools import BaseTool

    return BaseTool._arun


def value_of(result: Any, limits: Limits) -> ToolValue:
    """Return what a call of a tool has given. Raises NotKept if the log cannot keep it, or it is
    too large.

    This takes time for a large value: call it in a thread.
    """
    from langchain_core.messages import ToolMessage

    messages = _messages_of(result)
    if isinstance(messages, ToolMessage):
        artifact = messages.artifact
        content = messages.content
        if isinstance(artifact, _Returned):
            value = artifact.value
        else:
            value = content if artifact is None else artifact
    else:
        value = list(messages)
        content = "\n\n".join(str(message.text) for message in messages)
    value, shown = _taken(value)
    if len(shown) > limits.tool_output:
        raise NotKept(
            f"What the tool returned has {len(shown)} characters as it is stored; the most that is"
            f" kept are {limits.tool_output}. Ask it for less."
        )
    content = wellformed_value(content)
    if not isinstance(content, str):
        blocks = content_blocks(content)
        # It may only look like content blocks.
        content = wellformed(_as_text(content)) if blocks is None else blocks
        if blocks is not None and not _is_json(blocks):
            content = wellformed(shown)
    content = read(content, limits.tool_text, limits.tool_output)
    return ToolValue(value, content, shown, _failed(messages))


def read(content: Any, longest: int, largest: int) -> Any:
    """Return as much of a tool's content as the model reads: so many characters of text.

    A block of another kind is given whole, or not at all.
    """
    if isinstance(content, str):
        return _cut(content, longest)
    blocks, left = [], longest
    for block in content if isinstance(content, list) else ():
        text = block if isinstance(block, str) else block.get("text")
        if isinstance(text, str):
            kept = _cut(text, max(left, 0))
            left -= len(text)
            block = kept if isinstance(block, str) else {**block, "text": kept}
        elif (size := len(json.dumps(block))) > largest:
            what = block.get("type")
            block = {"type": "text", "text": f"[A block of type {what} is left out: {size} bytes.]"}
        blocks.append(block)
    return blocks


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return wellformed(text[:longest]) + f"\n[Cut here: {longest} of {len(text)} characters.]"


def _taken(value: Any) -> tuple[Any, str]:
    """Return the value as it is now, and as text for people. Raises NotKept if the log cannot keep
    it.

    As the document's text, because the tool may go on to change what it has returned. It is encoded
    here and nowhere else.
    """
    if value is None:
        return None, ""
    if isinstance(value, str):
        # A SafeString, or a member of an enumeration of texts, is its text.
        text = str.__str__(value) if type(value) is not str else value
        return text, text
    try:
        with collector_waits():
            stored = Encoded(codec.dumps(value))
    except CodecError as error:
        raise NotKept(f"What the tool returned cannot be kept: {error}") from None
    return stored, stored.text


def decoded(outputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tools' outputs with the values themselves, for a project's own code.

    Raises CodecError. This takes time for a large value: call it in a thread.
    """
    return [
        {**output, "output": codec.decode(output["output"])}
        if isinstance(output["output"], Encoded)
        else output
        for output in outputs
    ]


def _told(value: Any) -> Any:
    """Return what LangChain is given as a tool's content: content, or the text it would make of it.

    LangChain makes that text at once, and no other thread of the process runs meanwhile.
    """
    from langchain_core.messages.tool import ToolOutputMixin

    if isinstance(value, str | ToolOutputMixin):
        return value
    if isinstance(value, list) and value and all(isinstance(i, ToolOutputMixin) for i in value):
        return value
    blocks = content_blocks(value)
    return _as_text(value) if blocks is None else blocks


def _as_text(value: Any) -> str:
    try:
        return "".join(pieces(value, _AS_JSON, ", "))
    except Exception:  # noqa: BLE001 - as LangChain does: any class may be in it
        return _as_str(value)


_AS_JSON = json.JSONEncoder(ensure_ascii=False).encode


def _as_str(value: Any) -> str:
    if type(value) is not list:
        return text_of(value)
    return f"[{', '.join(text_of(rows)[1:-1] for rows in chunks(value))}]"


def _is_json(content: Any) -> bool:
    try:
        for _ in pieces(content, _STRICT):
            pass
    except (TypeError, ValueError, RecursionError):
        return False
    return True


_STRICT = json.JSONEncoder(allow_nan=False).encode


def _messages_of(result: Any) -> ToolMessage | Sequence[ToolMessage]:
    from langchain_core.messages import ToolMessage

    if isinstance(result, ToolMessage):
        return result
    update = getattr(result, "update", None)  # LangGraph's Command
    found = update.get("messages") if isinstance(update, dict) else result
    if isinstance(found, list | tuple):
        messages = [message for message in found if isinstance(message, ToolMessage)]
        if messages:
            return messages[0] if len(messages) == 1 else messages
    raise NotKept(
        f"The tool returned a {type(result).__name__}, which nothing here can carry out; expected a"
        " value or a ToolMessage."
    )


def _failed(messages: Any) -> bool:
    several = messages if isinstance(messages, list) else [messages]
    return any(message.status == "error" for message in several)
