"""Makes the chat models of the providers that turnlog knows by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigurationError, ModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class NoKey(ModelError):
    """There is no key for a provider, whose client would say so only in the middle of a turn."""

    kind = "credentials"


def chat_model(provider: str, model: str, options: Mapping[str, Any], owner: str) -> BaseChatModel:
    """Return a provider's chat model. Options that are None are left to its client.

    Raises ConfigurationError if the provider is not known here, or its package is not installed.
    """
    make = _MAKERS.get(provider)
    if make is None:
        raise ConfigurationError(
            f"{owner}: {model!r} is a model of {provider}; turnlog makes the clients of"
            f" {' and '.join(_MAKERS)}: override get_llm() to return the chat model of"
            f" langchain-{provider}"
        )
    return make(model, {name: value for name, value in options.items() if value is not None}, owner)


def _openai(model: str, options: Mapping[str, Any], owner: str) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    # A stream contains usage figures only on request.
    return ChatOpenAI(model=model, stream_usage=True, **options)


def _anthropic(model: str, options: Mapping[str, Any], owner: str) -> BaseChatModel:
    try:
        from langchain_anthropic import ChatAnthropic
    except ImportError as error:
        raise ConfigurationError(
            f"{owner}: {model!r} is a model of anthropic, whose client is not installed"
            f" ({error}): run pip install 'django-turnlog[anthropic]'"
        ) from error
    if not options.get("api_key"):
        raise NoKey(
            f"{owner}: expected ANTHROPIC_API_KEY in the settings or the environment, or"
            " llm_anthropic_api_key, found neither"
        )
    make: Any = ChatAnthropic  # Its type names its options otherwise than it takes them.
    made: BaseChatModel = make(model=model, **options)
    return made


_MAKERS: dict[str, Callable[[str, Mapping[str, Any], str], BaseChatModel]] = {
    "openai": _openai,
    "anthropic": _anthropic,
}
