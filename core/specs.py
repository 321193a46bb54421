"""Names of language models, and what is known about them.

The tutorial's names are listed beside today's. A consumer's `llm_model` takes a member or any model
name as a string. If you override `get_llm()`, it is not used at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class LLMModelSpec:
    """What a model can do: `max_output_tokens` in tokens (None: not known here)."""

    max_output_tokens: int | None = None
    support_vision: bool = False
    support_pdf: bool = False


class LLMModel(str, Enum):
    """Model names by the provider that serves them; the value is the provider's own name."""

    OPENAI_GPT_4O = "gpt-4o"
    OPENAI_GPT_4O_MINI = "gpt-4o-mini"
    OPENAI_GPT_4_TURBO = "gpt-4-turbo"
    OPENAI_GPT_4_1 = "gpt-4.1"
    OPENAI_GPT_4_1_MINI = "gpt-4.1-mini"
    OPENAI_GPT_4_1_NANO = "gpt-4.1-nano"
    OPENAI_GPT_5 = "gpt-5"
    OPENAI_GPT_5_MINI = "gpt-5-mini"
    OPENAI_GPT_5_NANO = "gpt-5-nano"
    OPENAI_GPT_5_4 = "gpt-5.4"
    OPENAI_GPT_5_4_MINI = "gpt-5.4-mini"
    OPENAI_GPT_5_5 = "gpt-5.5"
    OPENAI_GPT_6_SOL = "gpt-6-sol"
    OPENAI_GPT_6_LUNA = "gpt-6-luna"
    ANTHROPIC_CLAUDE_3_5_SONNET = "claude-3-5-sonnet-20241022"
    ANTHROPIC_CLAUDE_3_5_HAIKU = "claude-3-5-haiku-20241022"
    ANTHROPIC_CLAUDE_3_OPUS = "claude-3-opus-20240229"
    ANTHROPIC_CLAUDE_OPUS_4_5 = "claude-opus-4-5"
    ANTHROPIC_CLAUDE_SONNET_4_5 = "claude-sonnet-4-5"
    ANTHROPIC_CLAUDE_HAIKU_4_5 = "claude-haiku-4-5"
    GOOGLE_GEMINI_1_5_FLASH = "gemini-1.5-flash"
    GOOGLE_GEMINI_1_5_PRO = "gemini-1.5-pro"

    @property
    def spec(self) -> LLMModelSpec:
        """What is known about this model."""
        return spec_of(self.value)

    @property
    def provider(self) -> str:
        """The provider's name in lower case: openai, anthropic, google."""
        return self.name.partition("_")[0].lower()


# Output limits as the providers' model pages give them. The library's tests do not depend on
# them; a model that is not listed is simply not clamped.
_SPECS: dict[str, LLMModelSpec] = {
    "gpt-4o": LLMModelSpec(16_384, support_vision=True, support_pdf=True),
    "gpt-4o-mini": LLMModelSpec(16_384, support_vision=True, support_pdf=True),
    "gpt-4-turbo": LLMModelSpec(4_096, support_vision=True),
    "gpt-4.1": LLMModelSpec(32_768, support_vision=True, support_pdf=True),
    "gpt-4.1-mini": LLMModelSpec(32_768, support_vision=True, support_pdf=True),
    "gpt-4.1-nano": LLMModelSpec(32_768, support_vision=True, support_pdf=True),
    "gpt-5": LLMModelSpec(128_000, support_vision=True, support_pdf=True),
    "gpt-5-mini": LLMModelSpec(128_000, support_vision=True, support_pdf=True),
    "gpt-5-nano": LLMModelSpec(128_000, support_vision=True, support_pdf=True),
    "claude-3-5-sonnet-20241022": LLMModelSpec(8_192, support_vision=True, support_pdf=True),
    "claude-3-5-haiku-20241022": LLMModelSpec(8_192),
    "claude-3-opus-20240229": LLMModelSpec(4_096, support_vision=True),
    "claude-opus-4-5": LLMModelSpec(64_000, support_vision=True, support_pdf=True),
    "claude-sonnet-4-5": LLMModelSpec(64_000, support_vision=True, support_pdf=True),
    "claude-haiku-4-5": LLMModelSpec(64_000, support_vision=True, support_pdf=True),
    "gemini-1.5-flash": LLMModelSpec(8_192, support_vision=True, support_pdf=True),
    "gemini-1.5-pro": LLMModelSpec(8_192, support_vision=True, support_pdf=True),
}


def is_listed(model_name: str) -> bool:
    """Whether the spec of a model is known here, by the provider's name for it."""
    return model_name in _SPECS


def spec_of(model_name: str) -> LLMModelSpec:
    """The spec of a model, by the provider's name for it; an empty spec if it is not known here."""
    return _SPECS.get(model_name, LLMModelSpec())
