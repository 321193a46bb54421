from __future__ import annotations

from turnlog.core.specs import LLMModel, LLMModelSpec, spec_of
from turnlog.specs import LLMModel as TutorialsModel


def test_the_tutorials_names_are_there() -> None:
    assert TutorialsModel is LLMModel
    assert LLMModel.OPENAI_GPT_4O.value == "gpt-4o"
    assert LLMModel.OPENAI_GPT_4O.spec == LLMModelSpec(
        16_384, support_vision=True, support_pdf=True
    )
    assert LLMModel.ANTHROPIC_CLAUDE_3_5_SONNET.provider == "anthropic"


def test_a_model_that_is_not_known_has_no_limits() -> None:
    assert spec_of("a-model-of-tomorrow") == LLMModelSpec()


def test_every_member_says_its_provider() -> None:
    assert {model.provider for model in LLMModel} == {"openai", "anthropic", "google"}
