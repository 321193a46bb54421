from __future__ import annotations

import inspect
import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils.html import conditional_escape
from django.utils.safestring import mark_safe

from ...core.asynchronous import in_database_thread, in_thread
from ...core.wellformed import wellformed
from ...events.prompt import Prompt
from ...events.rounds import Round
from ...projections.messages.previous import HistoryRule
from ...projections.models import ConversationMessage
from .approval import ApprovalMixin
from .chat import ChatMixin, overrides
from .given import ruled
from .llm import LLMMixin, model_name_of, parameters_of
from .tools import as_tools, servers_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_core.runnables.utils import AddableDict
    from langchain_core.tools import BaseTool

    from ...events.types import Outcome


R = TypeVar("R")


@dataclass(slots=True)
class CurrentTurn:
    """The turn for which a completion hook is called."""

    turn_id: uuid.UUID
    metadata: dict[str, Any]
    rounds: Sequence[Round] = ()
    """What each call of the model gave, in order; a FailedCall for one that failed."""
    answer: AIMessage | None = None
    """The message that the hook is called with."""

    def rounds_of(self, ai_message: Any) -> Sequence[Round]:
        """Return the rounds to record with an answer: none beside another one than the model's.

        A hook that changes the answer (to leave something out of the log, say) would otherwise
        record the model's words beside it.
        """
        return self.rounds if ai_message is self.answer else ()


_turn: ContextVar[tuple[Any, CurrentTurn | None]] = ContextVar(
    "turnlog_current_turn", default=(None, None)
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a turn calls the model with."""

    llm: BaseChatModel
    tools: Sequence[BaseTool]
    prompt: Prompt
    previous: Sequence[Any] | None = None
    """The messages before the human's; None until they are read."""
    fallbacks: Sequence[BaseChatModel] = ()
    """The models that are called if `llm` cannot be, in order."""


class AgentMixin(ApprovalMixin, LLMMixin, ChatMixin):
    """A model that answers with tools, and the hooks that record each turn in the log."""

    welcome_message_template: str = ""
    """HTML shown above the conversation; `{name}` placeholders are filled in, escaped."""
    banner: str = ""
    """A sentence shown under the header of the page."""
    show_initial_prompt: bool = True
    """Whether the page shows the first user message that `llm_first_user_message_template` sent."""
    tools: Sequence[Any] | None = None
    """Functions or LangChain tools."""
    llm_history_tools: bool = False
    """Whether the model is given the tool calls of earlier turns, with their outputs."""
    llm_history_max_tokens: int | None = None
    """How many tokens, approximately, the previous messages may have. The model is given the last
    whole turns that fit; None: all of them."""

    name_conversations: str = ""
    """How a conversation without a title is named after its first exchange: `"words"`, by the
    user's first words; `"model"`, by one more call of the model, beside the turn; `""`, not. A
    title that somebody has given is never replaced."""
    naming_prompt: str | None = None
    """The system prompt of that call; None: turnlog's own."""
    summarize_after_tokens: int | None = None
    """If the previous messages have more tokens, approximately, a model summarises the older whole
    turns once a turn has ended: later turns are given the summary and what came after; None:
    never."""
    summary_model: Any = None
    """What summarises: a member of LLMModel, a model's name or a chat model; None: `get_llm()`."""
    summary_prompt: str | None = None
    """The system prompt of a summary; None: turnlog's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._remembered: list[Any] = []

    @property
    def current_turn(self) -> CurrentTurn | None:
        """The turn for which a completion hook is being called; None outside of the hooks.

        Each turn has its own, also if two of one connection are under way.
        """
        chat, turn = _turn.get()
        return turn if chat is self else None

    @current_turn.setter
    def current_turn(self, turn: CurrentTurn | None) -> None:
        _turn.set((self, turn))

    def get_tools(self) -> Sequence[Any]:
        """Return the tools of the next turn. An override may be async."""
        return self.tools or ()

    def get_show_initial_prompt(self) -> bool:
        return self.show_initial_prompt

    async def aget_banner(self) -> str:
        """Return the sentence under the page's header; empty for none."""
        return self.banner

    async def aget_welcome_message(self) -> str:
        """Return the welcome message as safe HTML, empty for none. Raises ConfigurationError."""
        template = self.welcome_message_template.strip()
        if not template:
            return ""
        context = await self.aget_llm_prompt_context_data()
        safe = {name: conditional_escape(value) for name, value in context.items()}
        return mark_safe(self.render_template(template, safe))

    async def aget_previous_messages(self) -> list[Any]:
        """Return this person's messages in the conversation, in order of version.

        `SystemMessage | HumanMessage | AIMessage | AddableDict` (a tool's output). Without a
        conversation, those of this connection.
        """
        conversation = await self.aget_conversation()
        if conversation is None:
            return list(self._remembered)
        here = ConversationMessage.objects
        found: list[Any] = await here.aget_histories(conversation, self.get_user())
        return found

    async def aget_prompt_messages(self) -> list[Any]:
        """Return the previous messages that the model is given.

        These are what `get_llm_history_rule()` makes of `aget_previous_messages()`, after the
        summary of what came before, if there is one. Called before the turn is started, and again
        if the conversation continued meanwhile. The log records what it returns.
        """
        rule, user = self.get_llm_history_rule(), self.get_user()
        conversation = await self.aget_conversation()
        own = overrides(self, AgentMixin, "aget_previous_messages")
        if self.summarize_after_tokens is not None and conversation is not None and not own:
            given = await in_database_thread(ruled)(conversation, user, rule, summarised=True)
            return given.messages
        previous = await self.aget_previous_messages()
        return await in_thread(lambda: rule.of_messages(previous))

    async def aget_summary_llm(self) -> BaseChatModel:
        """Return the chat model that summarises; see `summary_model`.

        Raises ConfigurationError, and what overridden methods and the model's client raise.
        """
        model = self.summary_model
        if model is None:
            own = overrides(self, LLMMixin, "get_llm")
            return await (in_database_thread(self.get_llm)() if own else in_thread(self.get_llm))
        chosen: BaseChatModel = (
            await in_thread(lambda: self._make(model)) if isinstance(model, str) else model
        )
        return chosen

    def get_llm_history_rule(self) -> HistoryRule:
        return HistoryRule(self.llm_history_tools, self.llm_history_max_tokens)

    async def aget_setup(self) -> Setup:
        """Return model, tools and prompt of the next turn.

        Raises ConfigurationError, and what overridden methods and the model's client raise.
        """
        from langchain_core.utils.function_calling import convert_to_openai_tool

        found = self.get_tools()
        tools = as_tools(await found if inspect.isawaitable(found) else found)
        # Making a client takes time, and an override may query the database.
        own = overrides(self, LLMMixin, "get_llm")
        llm = await (in_database_thread(self.get_llm)() if own else in_thread(self.get_llm))
        others = await in_thread(self.get_fallback_models) if self.fallback_models else ()
        prompt = Prompt(
            # An override of get_llm() may return another model than the attribute names.
            model=model_name_of(llm),
            parameters={
                **self.get_llm_parameters(),
                **parameters_of(llm),
                **servers_of(tools),
            },
            # An override may return a lazy translation, or nothing.
            system_prompt=wellformed(str(await self.aget_llm_system_prompt() or "")),
            tools=[convert_to_openai_tool(tool) for tool in tools],
        )
        self._require_known_tools([tool.name for tool in tools])
        return Setup(llm, tools, prompt, fallbacks=others)

    async def on_conversation_complete(
        self,
        human_message: HumanMessage,
        ai_message: AIMessage,
        tools_output_list: list[AddableDict] | None = None,
    ) -> None:
        """Called when a turn is finished; by default appends it to the log.

        If the database was away, it may be called again for the same turn: appending is
        idempotent.
        """
        conversation = await self.aget_conversation()
        if conversation is None:
            self._remembered += [human_message, *(tools_output_list or ()), ai_message]
            return
        turn = self.current_turn
        await conversation.arecord_turn(
            human_message,
            ai_message,
            tools_output_list,
            user=self.get_user(),
            turn_id=turn.turn_id if turn else None,
            metadata=turn.metadata if turn else None,
            rounds=turn.rounds_of(ai_message) if turn else None,
        )

    async def on_conversation_failed(
        self,
        human_message: HumanMessage,
        outcome: Outcome,
        error: dict[str, str] | None = None,
        ai_message: AIMessage | None = None,
        tools_output_list: list[AddableDict] | None = None,
    ) -> None:
        """Called when a started turn ends without a whole answer.

        By default, an answer that somebody stopped is recorded as far as it came, so that the next
        turn's model knows it. Any other turn is closed in the log as `failed`, `cancelled` or
        `interrupted`, with what had been produced.
        """
        conversation, turn = await self.aget_conversation(), self.current_turn
        stopped = outcome == "cancelled" and ai_message is not None and ai_message.text
        if conversation is None:
            if stopped:
                self._remembered += [human_message, *(tools_output_list or ()), ai_message]
            return
        if turn is None:
            return
        rounds = turn.rounds_of(ai_message)
        if stopped:
            await conversation.arecord_turn(
                human_message,
                ai_message,
                tools_output_list,
                user=self.get_user(),
                turn_id=turn.turn_id,
                metadata={**turn.metadata, "outcome": outcome},
                rounds=rounds,
            )
            return
        await conversation.afail_turn(
            turn.turn_id,
            outcome,
            error=error,
            ai_message=ai_message,
            tools_output_list=tools_output_list,
            rounds=rounds,
            metadata=turn.metadata,
        )


def gives_own_messages(chat: AgentMixin) -> bool:
    """Return whether a chat overrides which messages its model is given."""
    return overrides(chat, AgentMixin, "aget_previous_messages", "aget_prompt_messages")


def has_own_hooks(chat: AgentMixin) -> bool:
    """Return whether a chat overrides what happens when a turn has ended."""
    return overrides(chat, AgentMixin, "on_conversation_complete", "on_conversation_failed")
