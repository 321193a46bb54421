from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.template import Context
from django.template import Template as DjangoTemplate

from ...core.errors import ConfigurationError
from ...core.specs import LLMModel, is_listed, spec_of
from .limits import LimitsMixin
from .prompt_files import template_in
from .providers import chat_model

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class LLMMixin(LimitsMixin):
    """The model that answers, and the prompts that it starts with.

    Templates are text with `{name}` placeholders, Django templates, or LangChain prompt
    templates, rendered with `get_llm_prompt_context_data()`.
    """

    llm_openai_api_key: str | None = None
    """Overrides `settings.OPENAI_API_KEY` and the environment variable of that name."""
    llm_openai_base_url: str | None = None
    """Overrides `settings.OPENAI_BASE_URL` and the environment variable of that name."""
    llm_anthropic_api_key: str | None = None
    """Overrides `settings.ANTHROPIC_API_KEY` and the environment variable of that name."""
    llm_anthropic_base_url: str | None = None
    """Overrides `settings.ANTHROPIC_BASE_URL` and the environment variable of that name."""
    llm_model: LLMModel | str = LLMModel.OPENAI_GPT_4O
    """A member of LLMModel, or any model name that the server knows."""
    llm_temperature: float | None = 1
    """None leaves it to the model: some models accept only their own."""
    llm_max_tokens: int | None = 4096
    """The most tokens that an answer may have."""
    llm_timeout: float = 60
    """A call is given up after so many seconds without anything from the model."""
    fallback_models: Sequence[Any] = ()
    """Models that are called, in this order, if the one before cannot be: members of LLMModel,
    names of OpenAI's, or LangChain chat models."""
    llm_system_prompt_path: str | Path | None = None
    """A text file that holds the system prompt template, or a YAML file with a LangChain prompt;
    relative to `settings.BASE_DIR`."""
    llm_system_prompt_template: Any = ""
    llm_prompt_context_data: Mapping[str, Any] | None = None
    llm_attachments: Collection[str] | None = None
    """What people may send besides words: some of "picture", "pdf" and "text". None: text, and what
    `llm_model` is known to take; of a model that LLMModel does not list, everything."""
    llm_first_user_message_template: Any = None
    """Sent to the model in the user's name when a conversation is empty."""

    def get_llm_model(self) -> LLMModel | str:
        return self.llm_model

    def get_llm_model_name(self) -> str:
        """Return the model's name as its server knows it."""
        model = self.get_llm_model()
        return model.value if isinstance(model, LLMModel) else str(model)

    def get_llm_temperature(self) -> float | None:
        return self.llm_temperature

    def get_llm_max_tokens(self) -> int | None:
        """Return `llm_max_tokens`, but no more than the model's limit."""
        return _within(self.get_llm_model_name(), self.llm_max_tokens)

    def get_llm_attachments(self) -> Collection[str]:
        """Return what people may send to the model besides words."""
        if self.llm_attachments is not None:
            return self.llm_attachments
        name = self.get_llm_model_name()
        spec, listed = spec_of(name), is_listed(name)
        takes = {
            "picture": spec.support_vision or not listed,
            "pdf": spec.support_pdf or not listed,
            "text": True,
        }
        return [sort for sort, is_taken in takes.items() if is_taken]

    def get_llm_timeout(self) -> float:
        return self.llm_timeout

    def get_llm_openai_api_key(self) -> str | None:
        return self.llm_openai_api_key or _setting("OPENAI_API_KEY")

    def get_llm_openai_base_url(self) -> str | None:
        return self.llm_openai_base_url or _setting("OPENAI_BASE_URL")

    def get_llm_anthropic_api_key(self) -> str | None:
        return self.llm_anthropic_api_key or _setting("ANTHROPIC_API_KEY")

    def get_llm_anthropic_base_url(self) -> str | None:
        return self.llm_anthropic_base_url or _setting("ANTHROPIC_BASE_URL")

    def get_llm(self) -> BaseChatModel:
        """Return the chat model. Override this to return any LangChain chat model.

        Raises ConfigurationError if the model's provider is neither OpenAI nor Anthropic, or its
        client is not installed.
        """
        return self._make(self.get_llm_model())

    def get_fallback_models(self) -> list[BaseChatModel]:
        """Return the chat models that are called if `get_llm()`'s cannot be, in order.

        Raises ConfigurationError as `get_llm()` does.
        """
        return [
            self._make(model) if isinstance(model, str) else model for model in self.fallback_models
        ]

    def _make(self, model: LLMModel | str) -> BaseChatModel:
        provider = model.provider if isinstance(model, LLMModel) else "openai"
        name = model.value if isinstance(model, LLMModel) else model
        if provider == "anthropic":
            server = self.get_llm_anthropic_api_key(), self.get_llm_anthropic_base_url()
        else:
            server = self.get_llm_openai_api_key(), self.get_llm_openai_base_url()
        own = name == self.get_llm_model_name()
        options = {
            "api_key": server[0],
            "base_url": server[1],
            "temperature": self.get_llm_temperature(),
            "max_tokens": self.get_llm_max_tokens() if own else _within(name, self.llm_max_tokens),
            "timeout": self.get_llm_timeout(),
            # Each try is on record, if turnlog makes it; its client's own tries are not.
            "max_retries": 0 if self.retries else None,
        }
        return chat_model(provider, name, options, type(self).__name__)

    def get_llm_parameters(self) -> dict[str, Any]:
        """Return the call's parameters for the log; what the model itself reports comes first.

        Leave secrets out.
        """
        return {
            "temperature": self.get_llm_temperature(),
            "max_tokens": self.get_llm_max_tokens(),
        }

    def get_llm_prompt_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the values for the templates' placeholders."""
        return {**(self.llm_prompt_context_data or {}), **kwargs}

    async def aget_llm_prompt_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the same values; override this one if you need the database."""
        return self.get_llm_prompt_context_data(**kwargs)

    def get_llm_system_prompt_template(self) -> Any:
        """Return the template. Raises ConfigurationError if its file cannot be read."""
        if self.llm_system_prompt_path is None:
            return self.llm_system_prompt_template
        path = Path(getattr(settings, "BASE_DIR", "."), self.llm_system_prompt_path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{type(self).__name__}.llm_system_prompt_path: {path} cannot be read as UTF-8"
                f" text ({type(error).__name__})"
            ) from error
        return template_in(text, path) if path.suffix.lower() in (".yaml", ".yml") else text

    async def aget_llm_system_prompt(self, **kwargs: Any) -> str:
        """Return the system prompt of the next turn; empty for none."""
        context = await self.aget_llm_prompt_context_data(**kwargs)
        return self.render_template(self.get_llm_system_prompt_template(), context)

    async def aget_llm_first_user_message(self, **kwargs: Any) -> str | None:
        """Return the text that opens an empty conversation in the user's name; None for nothing."""
        if not self.llm_first_user_message_template:
            return None
        context = await self.aget_llm_prompt_context_data(**kwargs)
        return self.render_template(self.llm_first_user_message_template, context)

    def render_template(self, template: Any, context: Mapping[str, Any]) -> str:
        """Fill in a template. Raises ConfigurationError if a placeholder has no value."""
        if isinstance(template, str):
            return _format(template, context, type(self).__name__)
        if isinstance(template, DjangoTemplate):
            return template.render(Context(dict(context)))
        if hasattr(template, "format") and hasattr(template, "input_variables"):
            missing = [name for name in template.input_variables if name not in context]
            if missing:
                raise _missing(type(self).__name__, missing[0], context)
            return str(template.format(**{k: context[k] for k in template.input_variables}))
        raise ConfigurationError(
            f"{type(self).__name__}: a template must be text, a Django template or a LangChain"
            f" prompt template, found {type(template).__name__}"
        )


# Chat models have attributes of these names and send them with a call. The list says what may be
# kept, not what may not: a key or a header can have any name.
_ALWAYS = ("temperature", "max_tokens")
_IF_SET = (
    *("top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "n", "stop"),
    "stop_sequences",
    *("max_output_tokens", "max_completion_tokens", "num_predict", "logprobs", "top_logprobs"),
    *("reasoning_effort", "reasoning", "verbosity", "thinking", "effort", "service_tier"),
    *("tool_choice", "parallel_tool_calls", "response_format", "use_responses_api"),
)


def parameters_of(llm: Any) -> dict[str, Any]:
    """Return the call parameters that a chat model itself reports, with what was bound to it.

    Of several models that stand in for each other, those of the first.
    """
    own, inner = _opened(llm)
    said = {} if inner is None else parameters_of(inner)
    names = {**own, **_dict(own.get("model_kwargs")), **_dict(own.get("kwargs"))}
    for name in (*_ALWAYS, *_IF_SET):
        value = names.get(name)
        if name in names and _is_plain(value) and (value is not None or name in _ALWAYS):
            said[name] = value
    return said


def model_name_of(llm: Any) -> str:
    """Return the name of the model that is called first, or else its class's."""
    own, inner = _opened(llm)
    bound = _dict(own.get("kwargs")).get("model")
    for name in (bound, own.get("model_name"), own.get("model")):
        if isinstance(name, str) and name:
            return name
    return type(llm).__name__ if inner is None else model_name_of(inner)


def _opened(llm: Any) -> tuple[dict[str, Any], Any]:
    """Return a model's own values, and the model that it wraps, if it wraps one."""
    own = getattr(llm, "__dict__", {})
    return own, own.get("bound") or own.get("runnable")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_plain(value: Any) -> bool:
    """Return whether a value is JSON of a few levels, such as options are."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


class _NamesOnly(Formatter):
    """str.format with plain names: no attribute or index access from a template."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        return kwargs[field_name], field_name


def _format(template: str, context: Mapping[str, Any], owner: str) -> str:
    try:
        return _NamesOnly().vformat(template, (), context)
    except KeyError as error:
        raise _missing(owner, str(error.args[0]), context) from None
    except (ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{owner}: a template has a stray brace ({error}); write {{{{ and }}}} for braces"
        ) from error


def _missing(owner: str, name: str, context: Mapping[str, Any]) -> ConfigurationError:
    return ConfigurationError(
        f"{owner}: a template needs {{{name}}}, but get_llm_prompt_context_data() returns"
        f" {', '.join(map(str, context)) or 'nothing'}"
    )


def _within(model_name: str, tokens: int | None) -> int | None:
    """Return how many tokens may be asked of a model: no more than its limit."""
    limit = spec_of(model_name).max_output_tokens
    return tokens if tokens is None or limit is None else min(tokens, limit)


def _setting(name: str) -> str | None:
    return getattr(settings, name, None) or os.environ.get(name) or None
