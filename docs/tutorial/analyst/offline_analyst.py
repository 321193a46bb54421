"""A stand-in for a language model that writes Python, without a key and without a network.

It knows some questions about the table of cafés, in Korean and in English, and the code for each.
"""

import uuid
from typing import Any

from example.offline_tutor import OfflineTutor
from langchain_core.messages import BaseMessage, ToolMessage

BY_CITY = "df.groupby('도시')['매출'].sum().sort_values(ascending=False)"
BY_MONTH = "df.groupby('월')['매출'].sum()"
BY_DRINK = "df.groupby('음료')['수량'].sum().sort_values(ascending=False)"

CHARTS = ("그래프", "차트", "그려", "그림", "chart", "plot", "draw")
QUESTIONS = [
    (("도시", "지역", "city", "cities"), BY_CITY, "barh", "도시별 매출"),
    (("월", "달", "month"), BY_MONTH, "line", "월별 매출"),
    (("음료", "메뉴", "drink"), BY_DRINK, "bar", "음료별 수량"),
]


class OfflineAnalyst(OfflineTutor):
    """Writes the code for a question, and a sentence about what comes of it."""

    @property
    def _llm_type(self) -> str:
        return "offline-analyst"

    def reply(self, messages: list[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            return _about(last), []
        text = "표를 살펴보겠습니다." if _is_korean(last.text) else "Let me look at the table."
        call = {"name": "python_repl_tool", "args": {"code": _code(last.text)}}
        return text, [{**call, "id": f"call-{uuid.uuid4()}"}]


def _code(question: str) -> str:
    """The code for a question; what is written after `run:` is run as it is."""
    asked = question.lower()
    if asked.startswith("run:"):
        return question[4:].strip()
    wants_chart = any(word in asked for word in CHARTS)
    for words, series, kind, title in QUESTIONS:
        if any(word in asked for word in words):
            drawing = f"\nfound.plot(kind={kind!r}, title={title!r})\nplt.tight_layout()"
            return f"found = {series}{drawing if wants_chart else ''}\nfound"
    if any(word in asked for word in ("평균", "average", "mean")):
        return "round(float(df['매출'].mean()), 1)"
    if any(word in asked for word in ("몇", "행", "how many", "rows")):
        return "len(df)"
    return f"{BY_MONTH}.plot(title='월별 매출')\nplt.tight_layout()" if wants_chart else "df.head()"


def _about(result: ToolMessage) -> str:
    text = str(result.text)
    if result.status == "error":
        return f"코드를 실행하지 못했습니다.\n\n```text\n{text[-500:]}\n```"
    if "chart was drawn" in text:
        return "그래프로 그렸습니다. 위의 그래프를 보세요."
    if text.startswith("|"):
        return "계산한 결과는 위의 표와 같습니다."
    return f"결과는 **{text[:200]}** 입니다."


def _is_korean(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)
