"""LangChain's messages, agent steps and documents.

`{"_type": "HumanMessage", "_value": {"content": ..., "type": "human", ...}}`: every field in the
model's order, each a document. Extra attributes follow the fields that all messages share. There
the tutorial's library stored `example`, which was a field at that time.

LangChain takes long to import, so a class is imported when a document first names it. The names
and their modules are fixed in this file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from .containers import encode_dict
from .dispatch import DECODERS, dec, enc
from .fault import Fault, expect
from .legacy import upgrade, without_call_id
from .libraries import Encoder
from .models import Model

_KINDS = ("Human", "AI", "System", "Tool", "Function", "Chat")

_MODELS = {
    **{f"{kind}Message": "langchain_core.messages" for kind in _KINDS},
    **{f"{kind}MessageChunk": "langchain_core.messages" for kind in _KINDS},
    "RemoveMessage": "langchain_core.messages",
    "AgentAction": "langchain_core.agents",
    "AgentActionMessageLog": "langchain_core.agents",
    "AgentStep": "langchain_core.agents",
    "AgentFinish": "langchain_core.agents",
    "ToolAgentAction": "langchain_classic.agents.output_parsers.tools",
    "Document": "langchain_core.documents",
}

_SOURCES = {
    **_MODELS,
    "BaseMessage": "langchain_core.messages",
    "AddableDict": "langchain_core.runnables.utils",
    "TextAccessor": "langchain_core.messages.base",
}


@cache
def load(name: str) -> Any:
    """One of LangChain's classes. Raises Fault if it cannot be imported."""
    try:
        return getattr(import_module(_SOURCES[name]), name)
    except (ImportError, AttributeError) as exc:
        package = _SOURCES[name].partition(".")[0].replace("_", "-")
        raise Fault(
            f"reading a {name} needs the class from {package}; install or update {package}", name
        ) from exc


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for one of LangChain's own classes; None for any other class."""
    name = cls.__name__
    # An instance exists, so its module is imported. A class that only has the same name is refused.
    module = sys.modules.get(_SOURCES.get(name, ""))
    if getattr(module, name, None) is not cls:
        return None
    if name in _MODELS:
        return _model(name).encode
    return {"AddableDict": _encode_addable, "TextAccessor": _encode_text}.get(name)


@cache
def _model(name: str) -> Model:
    return Model(load(name), tuple(load("BaseMessage").model_fields), _SHAPES)


def _decode_model(name: str, body: Any, depth: int) -> Any:
    """Decode the first document of a class; from then on the table calls the model directly."""
    decoder = _model(name).decode
    DECODERS[name] = decoder
    return decoder(body, depth)


def _decode_agent(name: str, body: Any, depth: int) -> Any:
    body = upgrade(name, body)
    if name == "ToolAgentAction":
        try:
            load(name)
        except Fault:
            # Few projects install the subclass's package. The subclass only adds an id, which
            # message_log holds as well.
            name, body = "AgentActionMessageLog", without_call_id(body)
    return _model(name).decode(body, depth)


def _encode_addable(value: Any, depth: int) -> Any:
    return {"_type": "AddableDict", "_value": encode_dict(value, depth)}


def _decode_addable(body: Any, depth: int) -> Any:
    return load("AddableDict")(expect(dec(body, depth), dict, "the value of an AddableDict"))


def _encode_text(value: Any, depth: int) -> Any:
    # The type of message.text since LangChain 1.0: a str that you can also call.
    return {"_type": "TextAccessor", "_value": enc(str.__str__(value), depth)}


def _decode_text(body: Any, depth: int) -> Any:
    return load("TextAccessor")(expect(dec(body, depth), str, "the value of a TextAccessor"))


def _is_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_calls(value: Any) -> bool:
    # What turns a call into a prompt, a line or a page takes these.
    return _is_dicts(value) and all(item.keys() >= _CALL for item in value)


_CALL = {"name", "args", "id"}


def _is_content(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str | dict) for item in value)
    return isinstance(value, str)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


# The types that code relies on without a check. Other fields may hold any value.
_SHAPES: dict[str, Callable[[Any], bool]] = {
    "content": _is_content,
    "additional_kwargs": _is_dict,
    "response_metadata": _is_dict,
    "tool_calls": _is_calls,
    "invalid_tool_calls": _is_calls,
    "tool_call_chunks": _is_dicts,
    "usage_metadata": lambda value: value is None or isinstance(value, dict),
    "tool": _is_text,
    "tool_input": lambda value: isinstance(value, str | dict),
    "log": _is_text,
    "action": lambda value: isinstance(value, load("AgentAction")),
    "message_log": lambda value: (
        isinstance(value, list | tuple)
        and all(isinstance(item, load("BaseMessage")) for item in value)
    ),
    "return_values": _is_dict,
    "page_content": _is_text,
    "metadata": _is_dict,
}

for _name in _MODELS:
    DECODERS[_name] = partial(_decode_model, _name)
for _name in ("AgentActionMessageLog", "AgentStep", "ToolAgentAction"):
    DECODERS[_name] = partial(_decode_agent, _name)
DECODERS["AddableDict"] = _decode_addable
DECODERS["TextAccessor"] = _decode_text
