"""pydantic-ai's messages, as turns of the log: one run is one turn."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from ...core.asynchronous import in_database_thread
from ...core.errors import ArgumentError
from ...events.models import Conversation, Event
from .dialects import answer, entries, human, raw_of, require_conversation, tool_output

DIALECT = "pydantic-ai"


def record(
    conversation: Conversation,
    messages: Sequence[ModelMessage],
    *,
    user: Any = None,
    turn_id: uuid.UUID | None = None,
) -> list[Event]:
    """Record a run's messages, `result.new_messages()`, as one turn; return its events.

    `turn_id` is a turn that was started with the same words. Raises ArgumentError if there is no
    response among them, and what `record_turn` raises.
    """
    require_conversation(conversation)
    responses = [each for each in messages if isinstance(each, ModelResponse)]
    if not responses:
        raise ArgumentError("messages", "a run's messages with a ModelResponse", list(messages))
    used = [each.usage for each in responses]
    tokens = (sum(u.input_tokens for u in used), sum(u.output_tokens for u in used))
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    model = {"model_name": responses[-1].model_name} if responses[-1].model_name else {}
    raw = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    return conversation.record_turn(
        human(_said(messages), DIALECT, []),
        answer(_answered(responses), DIALECT, raw, usage_metadata=usage, response_metadata=model),
        list(_tools(messages)) or None,
        user=user,
        turn_id=turn_id,
    )


def message_history(conversation: Conversation, user: Any = None) -> list[ModelMessage]:
    """Return a user's messages for `agent.run(..., message_history=...)`.

    Those that `record` has recorded are what they were. Turns that were recorded otherwise are what
    was said and answered in them.
    """
    found: list[ModelMessage] = []
    for _turn, message, at in entries(require_conversation(conversation), user):
        raw = raw_of(message, DIALECT)
        if raw is not None:
            # As JSON: what is no JSON value, such as a time or bytes, is text here.
            found += ModelMessagesTypeAdapter.validate_json(json.dumps(raw))
        elif isinstance(message, HumanMessage):
            found.append(
                ModelRequest(parts=[UserPromptPart(message.text, timestamp=at)], timestamp=at)
            )
        elif isinstance(message, AIMessage):
            found.append(ModelResponse(parts=[TextPart(message.text)], timestamp=at))
    return found


arecord = in_database_thread(record)
amessage_history = in_database_thread(message_history)


def _said(messages: Sequence[ModelMessage]) -> str:
    """The user's words; what is no text is named by its kind."""
    texts: list[str] = []
    for message in messages:
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                content = [part.content] if isinstance(part.content, str) else part.content
                texts += [_text(each) for each in content]
    return "\n".join(texts)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    text = getattr(content, "content", None)
    return text if isinstance(text, str) else f"[{getattr(content, 'kind', 'file')}]"


def _answered(responses: Sequence[ModelResponse]) -> str:
    """The text of the last response that has some; else of the last output, which is a call."""
    texts = [
        "".join(part.content for part in each.parts if isinstance(part, TextPart))
        for each in responses
    ]
    found = next(filter(None, reversed(texts)), "")
    calls = [part for part in responses[-1].parts if isinstance(part, ToolCallPart)]
    return calls[-1].args_as_json_str() if calls and not texts[-1] else found


def _tools(messages: Sequence[ModelMessage]) -> Iterator[dict[str, Any]]:
    calls: dict[str, ToolCallPart] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                calls[part.tool_call_id] = part
            elif isinstance(part, ToolReturnPart):
                call = calls.get(part.tool_call_id)
                given = call.args_as_json_str() if call else None
                output = part.model_response_str()
                yield tool_output(part.tool_name, part.tool_call_id, given, output)
