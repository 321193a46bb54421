"""What a turn's model is about to see, besides the messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .models import Content


@dataclass(frozen=True, slots=True)
class Prompt:
    """Model name, parameters, system prompt and tool schemas (JSON objects) of one turn."""

    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system_prompt: str = ""
    tools: Sequence[Mapping[str, Any]] = ()

    def keep(self) -> dict[str, Any]:
        """Store the long texts by content; the fields of a `TurnStarted` that refer to them."""
        texts = {}
        if self.system_prompt:
            texts["system_prompt"] = self.system_prompt
        if self.tools:
            texts["tools"] = json.dumps(list(self.tools), ensure_ascii=False, sort_keys=True)
        kept = dict(zip(texts, Content.objects.keep(*texts.values()), strict=True)) if texts else {}
        return {"model": self.model, "parameters": dict(self.parameters), **kept}
