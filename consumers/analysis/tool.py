"""The tool with which the model runs Python over the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.asynchronous import in_thread
from ...core.errors import SandboxRefused
from ..sandbox import Outcome
from .told import failed, told

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

NAME = "python_repl_tool"
DESCRIPTION = (
    "Used to execute Python code, Pandas queries, matplotlib and seaborn visualizations. The table"
    " is the DataFrame `df`; `pd`, `np`, `plt` and `sns` are imported. Variables live from call to"
    " call, but may be gone when the user comes back later. The value of the last expression is the"
    " result. Figures are shown to the user: there is no need to save them. There is no network."
)


def python_tool(
    run: Callable[[str], Awaitable[Outcome]], *, with_pictures: bool = False
) -> StructuredTool:
    """Return the tool, which runs code by `run`."""
    from langchain_core.tools import StructuredTool, ToolException
    from pydantic import Field, create_model  # lazy: LangChain needs it, and it is slow

    code_schema = Field(description="Python code to execute (for chart generation)")

    async def answer(code: str) -> tuple[Any, Any]:
        try:
            outcome = await run(code)
        except SandboxRefused as error:
            raise ToolException(f"The code could not be run: {error}") from error
        if outcome.error:
            raise ToolException(failed(outcome))
        return await in_thread(partial(told, outcome, with_pictures=with_pictures))

    return StructuredTool.from_function(
        coroutine=answer,
        name=NAME,
        description=DESCRIPTION,
        args_schema=create_model(NAME, code=(str, code_schema)),
        response_format="content_and_artifact",
        # What is wrong with the code is the model's to deal with.
        handle_tool_error=True,
    )
