"""The language models, under the name by which the tutorial imports them."""

from turnlog.core.specs import LLMModel, LLMModelSpec

__all__ = ["LLMModel", "LLMModelSpec"]
