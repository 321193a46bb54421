"""Which tool calls wait for a person, and who may decide about them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ...core.errors import ConfigurationError
from ...events.waiting import WaitingCall


class ApprovalMixin:
    """Tools that run only if a person approves the call."""

    approve_tools: Sequence[str] | Callable[[str, Mapping[str, Any]], Any] = ()
    """Names of tools whose calls wait for a person; or a method with the tool's name and its
    arguments that says whether the call does. It may be async."""

    def get_approve_tools(self) -> Sequence[str] | Callable[[str, Mapping[str, Any]], Any]:
        """Return `approve_tools`."""
        return self.approve_tools

    async def aneeds_approval(self, tool: str, args: Mapping[str, Any]) -> bool:
        """Return whether a call waits for a person. If this fails, it does."""
        rule = self.get_approve_tools()
        if not callable(rule):
            return tool in rule
        found = rule(tool, args)
        return bool(await found if inspect.isawaitable(found) else found)

    async def can_approve(self, call: WaitingCall) -> bool:
        """Return whether this chat's person may decide about a call of a turn of their own.

        By default they may. In the review room, the permission `turnlog_events.approve_tools` says
        who may.
        """
        return True

    def _require_known_tools(self, names: Collection[str]) -> None:
        """Raise ConfigurationError if `approve_tools` names what is no tool of the chat: the tool
        that was meant would run unasked."""
        rule = self.get_approve_tools()
        if callable(rule):
            return
        if isinstance(rule, str):
            raise ConfigurationError(
                f"{type(self).__name__}.approve_tools: expected a list of names, found the text"
                f" {rule!r}; write [{rule!r}]"
            )
        if unknown := sorted(set(rule) - set(names)):
            raise ConfigurationError(
                f"{type(self).__name__}.approve_tools names {unknown[0]!r}, which is no tool of the"
                f" chat; its tools are {', '.join(sorted(names)) or 'none'}"
            )
