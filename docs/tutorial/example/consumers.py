import os

from turnlog.consumers import AgentChatConsumer
from turnlog.specs import LLMModel

from .offline_tutor import OfflineTutor
from .tools import look_up_price, place_order


class LanguageTutorChatConsumer(AgentChatConsumer):
    llm_model = LLMModel.OPENAI_GPT_4O
    llm_temperature = 1
    llm_system_prompt_template = """
You are a language tutor.
{언어}로 대화를 나눕시다. 번역과 발음을 제공하지 않고 {언어}로만 답변해주세요.
"{상황}"의 상황으로 상황극을 진행합니다.
가능한한 {언어} {레벨}에 맞는 단어와 표현을 사용해주세요.
    """
    llm_first_user_message_template = "첫 문장으로 대화를 시작해주세요."
    tools = [look_up_price, place_order]
    approve_tools = ["place_order"]

    def get_llm_prompt_context_data(self) -> dict:
        return {
            "언어": "중국어",
            "상황": "스타벅스에서 커피를 주문하는 상황",
            "레벨": "초급",
        }

    # API 키가 없으면, 키 없이도 따라해볼 수 있는 오프라인 모델을 사용합니다.
    def get_llm(self):
        if os.environ.get("OPENAI_API_KEY"):
            self.llm_model = os.environ.get("OPENAI_MODEL", self.llm_model)
            return super().get_llm()
        return OfflineTutor()

    @property
    def banner(self) -> str:
        if os.environ.get("OPENAI_API_KEY"):
            return ""
        return (
            "오프라인 튜터입니다. 진짜 모델이 아니라 정해진 문장으로 답합니다. "
            "(This is the offline tutor, not a real model.)"
        )
