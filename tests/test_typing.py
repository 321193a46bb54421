"""What a type checker makes of code that uses turnlog."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each line that ends with a comment must be reported with these words, and no other line at all.
USERS_CODE = """
import turnlog
import turnlog.consumers
import turnlog.projections
from turnlog.events.log import append
from turnlog.events.rooms import ConversationRoom
from turnlog.mixins import AgentMixin
from turnlog.models import Conversation
from turnlog.specs import LLMModel

reveal_type(turnlog.consumers.AgentChatConsumer)  #: chat.AgentChatConsumer
turnlog.consumers.AgentChatConsomer  #: has no attribute "AgentChatConsomer"
turnlog.projections.as_off  #: has no attribute "as_off"

class Tutor(turnlog.consumers.AgentChatConsumer):
    llm_model = LLMModel.OPENAI_GPT_4O
    llm_temperature = "hot"  #: expression has type "str"

reveal_type(AgentMixin.aget_welcome_message)  #: Coroutine[Any, Any, str]

class Room(ConversationRoom):
    topic = "coffee"

Room(topic="tea")

async def chat(conversation: Conversation) -> None:
    append()  #: Missing positional arguments
    append(1, 2, 3, wrong=4)  #: Unexpected keyword argument
    reveal_type(append(1, []))  #: list[turnlog.events.
    conversation.record_turn("question")  #: Missing positional argument "ai_message"
    conversation.record_turn("question", "answer", wrong=4)  #: Unexpected keyword argument
    reveal_type(conversation.record_turn("question", "answer"))  #: list[turnlog.events.
    await conversation.arecord_turn("question")  #: Too few arguments
    await conversation.arecord_turn("question", "answer", wrong=4)  #: Unexpected keyword argument
    reveal_type(await conversation.arecord_turn("question", "answer"))  #: list[turnlog.events.
    reveal_type(await conversation.afork())  #: models.Conversation
    reveal_type(turnlog.projections.as_of(conversation))  #: states.ConversationState
    Conversation(title="Ordering coffee")

@turnlog.projections.register
class Questions(turnlog.projections.Projection):
    name = "questions"
    version = "two"  #: expression has type "str"
    handles = ("MessageAppended",)
"""


def test_each_ignored_error_has_its_reason_beside_it() -> None:
    without = []
    for room in ("core", "events", "projections", "consumers"):
        for path in (ROOT / room).rglob("*.py"):
            lines = path.read_text().splitlines()
            for above, line in pairwise(["", *lines]):
                ignored = re.search(r"# type: ignore\S*(  # .)?", line)
                if ignored and not ignored[1] and not above.lstrip().startswith("# "):
                    without.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert without == []


@pytest.mark.slow_once
def test_users_code_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "users_code.py"
    path.write_text(USERS_CODE)
    done = subprocess.run(
        [sys.executable, "-m", "tests.typed", str(path)], cwd=ROOT, capture_output=True, text=True
    )
    said: dict[int, list[str]] = {}
    # By its name only: mypy's cache remembers the folder of an earlier run.
    for line, sentence in re.findall(rf"{path.name}:(\d+): (.*)$", done.stdout, re.MULTILINE):
        said.setdefault(int(line), []).append(sentence)
    expected = {
        number: line.partition("#: ")[2]
        for number, line in enumerate(USERS_CODE.splitlines(), start=1)
        if "#: " in line
    }
    assert said.keys() == expected.keys(), done.stdout + done.stderr
    for number, words in expected.items():
        assert words in " ".join(said[number])
