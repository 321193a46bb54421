"""Language models under the name the tutorial imports them by."""

from turnlog.core.specs import LLMModel, LLMModelSpec

__all__ = ["LLMModel", "LLMModelSpec"]
