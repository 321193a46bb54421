"""LangChain's prompts in YAML files, of which the template alone is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import ConfigurationError


def template_in(text: str, path: Path) -> str:
    """Return the template of a `_type: prompt` document.

    LangChain's own `load_prompt` is not called: it follows paths in the file, and runs Jinja.
    Raises ConfigurationError if the file holds anything but a template with `{name}` placeholders.
    """
    import yaml  # lazy: LangChain brings it

    try:
        document: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(document, dict) or document.get("_type", "prompt") != "prompt":
        raise ConfigurationError(
            f"expected {path} to hold a LangChain prompt (`_type: prompt`), found"
            f" {document.get('_type') if isinstance(document, dict) else type(document).__name__!r}"
        )
    kind, template = document.get("template_format", "f-string"), document.get("template")
    if kind != "f-string" or not isinstance(template, str):
        raise ConfigurationError(
            f"expected {path} to have a `template` with {{name}} placeholders, found"
            f" {type(template).__name__} in the format {kind!r}; write the template itself into a"
            " text file"
        )
    return template
