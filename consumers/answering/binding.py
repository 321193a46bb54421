"""Gives tools to a chat model, whatever wraps it, so that nothing that was bound to it is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .wire import observed


def with_tools(llm: Any, tools: Sequence[Any]) -> Any:
    """Return a model that knows these tools besides those that it was bound to already.

    LangChain's `bind_tools` goes past the arguments that `bind`, `with_retry` and `with_fallbacks`
    have put around a model; here they stay around it.
    """
    return _each_model(llm, lambda model, bound: _bind(observed(model), [*bound, *tools]), ())


def _each_model(llm: Any, change: Callable[[Any, Sequence[Any]], Any], bound: Sequence[Any]) -> Any:
    """Return the same wrappers around what `change` makes of each model and of the tools bound to
    it."""
    fields = getattr(type(llm), "model_fields", {})
    if "bound" in fields:  # RunnableBinding, and RunnableRetry
        kwargs = dict(llm.kwargs)
        inner = _each_model(llm.bound, change, [*bound, *(kwargs.pop("tools", None) or ())])
        return llm.model_copy(update={"bound": inner, "kwargs": kwargs})
    if "fallbacks" in fields:  # RunnableWithFallbacks
        changed = [_each_model(one, change, bound) for one in (llm.runnable, *llm.fallbacks)]
        return llm.model_copy(update={"runnable": changed[0], "fallbacks": changed[1:]})
    return change(llm, bound)


def _bind(model: Any, tools: Sequence[Any]) -> Any:
    return model.bind_tools(list(tools)) if tools else model
