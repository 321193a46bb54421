import os

from turnlog.consumers import DataAnalystChatConsumer
from turnlog.specs import LLMModel

from .offline_analyst import OfflineAnalyst


class SalesAnalystChatConsumer(DataAnalystChatConsumer):
    llm_model = LLMModel.OPENAI_GPT_4O
    dataframe_path = "cafes.csv"
    column_guideline = """
- 월: 2025년의 몇 월인지 (1-12)
- 도시: 매장이 있는 도시
- 음료: 음료의 이름
- 수량: 그 달에 팔린 잔 수
- 매출: 그 달의 매출 (원)
    """
    welcome_message_template = """
<p>2025년 카페 매출표에 대해 물어보세요. 예: <em>도시별 매출을 알려주세요</em>,
<em>월별 매출을 그래프로 그려주세요</em>.</p>
    """

    # API 키가 없으면, 키 없이도 따라해볼 수 있는 오프라인 모델을 사용합니다.
    def get_llm(self):
        if os.environ.get("OPENAI_API_KEY"):
            self.llm_model = os.environ.get("OPENAI_MODEL", self.llm_model)
            return super().get_llm()
        return OfflineAnalyst()

    @property
    def banner(self) -> str:
        if os.environ.get("OPENAI_API_KEY"):
            return ""
        return (
            "오프라인 분석가입니다. 진짜 모델이 아니라 정해진 코드로 답합니다. "
            "(This is the offline analyst, not a real model.)"
        )
