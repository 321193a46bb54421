from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from django.template import Engine
from langchain_core.prompts import PromptTemplate

from turnlog.consumers.failures import kind_of
from turnlog.consumers.mixins import LLMMixin
from turnlog.consumers.mixins.llm import parameters_of
from turnlog.core.errors import ConfigurationError, ModelError
from turnlog.core.specs import LLMModel


class Tutor(LLMMixin):
    llm_system_prompt_template = "{언어}로 대화합니다. {{그대로}}"

    def get_llm_prompt_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"언어": "중국어", **kwargs}


async def test_templates_are_filled_in() -> None:
    assert await Tutor().aget_llm_system_prompt() == "중국어로 대화합니다. {그대로}"
    tutor = Tutor()
    tutor.llm_system_prompt_template = PromptTemplate.from_template("{언어}!")
    assert await tutor.aget_llm_system_prompt() == "중국어!"
    tutor.llm_system_prompt_template = Engine().from_string("{{ 언어 }}?")
    assert await tutor.aget_llm_system_prompt() == "중국어?"
    assert await LLMMixin().aget_llm_first_user_message() is None


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{레벨}", r"Tutor: a template needs \{레벨\}, but .* returns 언어"),
        (PromptTemplate.from_template("{레벨}"), "needs {레벨}"),
        ("{", "stray brace"),
        ("{언어.__class__}", "needs"),
        (7, "found int"),
    ],
)
async def test_a_template_that_cannot_be_filled_in_says_why(template: Any, sentence: str) -> None:
    tutor = Tutor()
    tutor.llm_system_prompt_template = template
    with pytest.raises(ConfigurationError, match=sentence):
        await tutor.aget_llm_system_prompt()


async def test_the_prompt_may_stand_in_a_file(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "prompt.txt").write_text("파일: {언어}", encoding="utf-8")
    tutor = Tutor()
    tutor.llm_system_prompt_path = "prompt.txt"
    assert await tutor.aget_llm_system_prompt() == "파일: 중국어"
    tutor.llm_system_prompt_path = "missing.txt"
    with pytest.raises(ConfigurationError, match=r"missing\.txt cannot be read"):
        await tutor.aget_llm_system_prompt()


def test_the_model_is_what_the_attributes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    tutor = Tutor()
    tutor.llm_max_tokens = 10**6
    llm: Any = tutor.get_llm()
    assert llm.model_name == "gpt-4o"
    assert llm.max_tokens == 16_384  # No more than the model can do.
    assert llm.temperature == 1
    assert llm.request_timeout == 60
    assert llm.openai_api_key.get_secret_value() == "from-environment"
    tutor.llm_model = "a-model-of-tomorrow"
    tutor.llm_temperature = None
    llm = tutor.get_llm()
    assert llm.model_name == "a-model-of-tomorrow"
    assert llm.max_tokens == 10**6
    assert llm.temperature is None


def test_a_model_says_itself_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-kept")
    from langchain_openai import ChatOpenAI

    llm: Any = ChatOpenAI(
        model="gpt-4o",
        temperature=0.2,
        max_tokens=7,
        top_p=0.5,
        stop=["."],
        default_headers={"X-Key": "secret"},
        model_kwargs={"user": "secret"},
    )
    said = {"temperature": 0.2, "max_tokens": 7, "top_p": 0.5, "stop": ["."]}
    assert parameters_of(llm) == said
    assert parameters_of(llm.bind(temperature=0, extra_headers={"X-Key": "secret"})) == {
        **said,
        "temperature": 0,
    }
    tutor = Tutor()
    tutor.llm_temperature = None
    assert parameters_of(tutor.get_llm()) == {"temperature": None, "max_tokens": 4096}
    assert parameters_of(object()) == {}


def test_settings_come_before_the_environment(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    settings.OPENAI_API_KEY = "from-settings"
    assert Tutor().get_llm_openai_api_key() == "from-settings"
    tutor = Tutor()
    tutor.llm_openai_api_key = "from-attribute"
    assert tutor.get_llm_openai_api_key() == "from-attribute"


def test_another_providers_model_says_what_to_override() -> None:
    tutor = Tutor()
    tutor.llm_model = LLMModel.GOOGLE_GEMINI_1_5_PRO
    with pytest.raises(ConfigurationError, match=r"override get_llm\(\).*langchain-google"):
        tutor.get_llm()


def test_anthropics_client_is_made_with_the_attributes() -> None:
    tutor = Tutor()
    tutor.llm_model = LLMModel.ANTHROPIC_CLAUDE_SONNET_4_5
    tutor.llm_anthropic_api_key, tutor.llm_anthropic_base_url = "key", "http://127.0.0.1:1"
    tutor.llm_max_tokens, tutor.retries = 100_000, 2
    llm: Any = tutor.get_llm()
    made = (type(llm).__name__, llm.model, llm.max_tokens, llm.max_retries, llm.anthropic_api_url)
    assert made == ("ChatAnthropic", "claude-sonnet-4-5", 64_000, 0, "http://127.0.0.1:1")


def test_anthropics_client_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    tutor = Tutor()
    tutor.llm_model = LLMModel.ANTHROPIC_CLAUDE_SONNET_4_5
    with pytest.raises(ModelError, match="expected ANTHROPIC_API_KEY") as raised:
        tutor.get_llm()
    assert kind_of(raised.value) == "credentials"


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    tutor = Tutor()
    tutor.llm_model = LLMModel.ANTHROPIC_CLAUDE_SONNET_4_5
    with pytest.raises(ConfigurationError, match=r"django-turnlog\[anthropic\]"):
        tutor.get_llm()


PROMPT = """
_type: prompt
input_variables: [dataframe_head]
template: |
  The table begins so:
  {dataframe_head}
"""


@pytest.mark.parametrize("name", ["analyst.yaml", "analyst.yml"])
async def test_a_langchain_prompt_in_yaml_is_its_template(
    tmp_path: Path, settings: Any, name: str
) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / name).write_text(PROMPT)
    chat = LLMMixin()
    chat.llm_system_prompt_path = name
    chat.llm_prompt_context_data = {"dataframe_head": "| a |"}
    assert await chat.aget_llm_system_prompt() == "The table begins so:\n| a |\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "cannot be read as YAML"),
        ("- a", "found 'list'"),
        ("_type: few_shot\ntemplate: a", "found 'few_shot'"),
        ("template_path: /etc/passwd", "found NoneType"),
        ("template: '{{ x }}'\ntemplate_format: jinja2", "in the format 'jinja2'"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_any_other_yaml_file_is_refused(
    tmp_path: Path, settings: Any, text: str, words: str
) -> None:
    (tmp_path / "prompt.yaml").write_text(text)
    settings.BASE_DIR = tmp_path
    chat = LLMMixin()
    chat.llm_system_prompt_path = "prompt.yaml"
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        chat.get_llm_system_prompt_template()
