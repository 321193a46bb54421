"""What a run of code has led to: the text that the model reads, and the value for the log."""

from __future__ import annotations

import base64
import io
from typing import Any

from ..sandbox import Outcome
from .heads import beginning

LONGEST = 10_000
"""Characters that the model reads of one run."""
_PART = 4_600
"""Of what was printed, and of the value or the error; the rest is for what turnlog says of them."""
_ROWS = 20

Content = str | list[dict[str, Any]]


def told(outcome: Outcome, *, with_pictures: bool = False) -> tuple[Content, Any]:
    """Return what the model reads of a run that went well, and what the log keeps.

    The log keeps what was printed, the value and the charts: one of them as it is, several as a
    list. With `with_pictures`, the model is sent the charts, too.
    """
    from PIL import Image  # lazy: optional

    parts: list[Any] = []
    if outcome.printed:
        parts.append(outcome.printed)
    if outcome.value is not None:
        parts.append(outcome.value)
    parts += [Image.open(io.BytesIO(chart)) for chart in outcome.charts]
    text = _text(outcome)
    content: Content = text
    if with_pictures and outcome.charts:
        content = [{"type": "text", "text": text}, *map(_block, outcome.charts)]
    return content, (parts[0] if len(parts) == 1 else parts or None)


def failed(outcome: Outcome) -> str:
    """Return what the model reads of code that did not run to its end."""
    parts = [_clipped(outcome.printed), _without_middle(outcome.error), outcome.notice]
    return "\n\n".join(filter(None, parts))


def _text(outcome: Outcome) -> str:
    said = [_clipped(outcome.printed)] if outcome.printed else []
    if outcome.value is not None:
        said.append(_clipped(_written(outcome.value)))
    if outcome.charts:
        count = len(outcome.charts)
        drawn = "A chart was drawn" if count == 1 else f"{count} charts were drawn"
        said.append(f"{drawn}; the user sees it already. Do not link to it.")
    if not said:
        said.append("The code ran, without a result: end it with an expression, or print().")
    if outcome.notice:
        said.append(outcome.notice)
    return "\n\n".join(said)


def _written(value: Any) -> str:
    if hasattr(value, "iloc"):
        return beginning(value, _ROWS)
    return value if isinstance(value, str) else repr(value)


def _clipped(text: str) -> str:
    return text if len(text) <= _PART else text[:_PART] + " … (there is more)"


def _without_middle(text: str) -> str:
    """Return an error's beginning and end: where it is, and what it says last."""
    half = _PART // 2
    return text if len(text) <= _PART else f"{text[:half]} … (there is more) … {text[-half:]}"


def _block(chart: bytes) -> dict[str, Any]:
    """A standard content block of LangChain's."""
    data = base64.b64encode(chart).decode()
    return {"type": "image", "base64": data, "mime_type": "image/png"}
