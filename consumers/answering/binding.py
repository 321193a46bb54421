"""Gives tools to a chat model, whatever wraps it, so that nothing that was bound to it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .wire import observed


def with_tools(llm: Any, tools: Sequence[Any], bound: Sequence[Any] = ()) -> Any:
    """Return a model that knows these tools besides those that it was bound to already.

    LangChain's `bind_tools` goes past the arguments that `bind`, `with_retry` and `with_fallbacks`
    have put around a model; here they stay around it. `bound` are the tools bound further out.
    """
    fields = getattr(type(llm), "model_fields", {})
    if "bound" in fields:  # RunnableBinding, and RunnableRetry
        kwargs = dict(llm.kwargs)
        inner = with_tools(llm.bound, tools, [*bound, *(kwargs.pop("tools", None) or ())])
        return llm.model_copy(update={"bound": inner, "kwargs": kwargs})
    if "fallbacks" in fields:  # RunnableWithFallbacks
        first, *others = (with_tools(one, tools, bound) for one in (llm.runnable, *llm.fallbacks))
        return llm.model_copy(update={"runnable": first, "fallbacks": others})
    model, known = observed(llm), [*bound, *tools]
    return model.bind_tools(known) if known else model
