"""What is said in made-up conversations: for each subject the words, the prompt and the tools.

Names in braces are filled in from `slots`, the same choice throughout a turn. What stands in a
slot ends in a vowel in Korean where a particle follows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, the arguments it is called with and what it gives."""

    name: str
    description: str
    arguments: Mapping[str, str]
    outputs: Sequence[str]

    def schema(self) -> dict[str, Any]:
        """As a model is told of it (OpenAI's function calling)."""
        properties = {name: {"type": "string"} for name in self.arguments}
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """What a conversation is about. An answer is some `sentences` and now and then a `block`."""

    name: str
    titles: Sequence[str]
    system_prompt: str
    tool: Tool
    questions: Sequence[str]
    sentences: Sequence[str]
    blocks: Sequence[str]
    slots: Mapping[str, Sequence[str]]
    temperature: float = 1.0
    opening: str = ""
    """What the page itself sends first, if it does."""


ENGLISH_TUTOR = Subject(
    name="english-tutor",
    titles=("영어로 커피 주문하기", "카페 영어 연습", "영어 회화: 카페에서", "주문 영어 한 걸음"),
    system_prompt=(
        "You are a language tutor.\n영어로 대화를 나눕시다. 번역을 제공하지 않고 영어로만"
        ' 답변해주세요.\n"카페에서 커피를 주문하는 상황"의 상황극을 진행합니다.\n가능한한 초급에'
        " 맞는 단어와 표현을 사용해주세요."
    ),
    opening="첫 문장으로 대화를 시작해주세요.",
    tool=Tool(
        "look_up_price",
        "Look up the price of a drink on the café's menu.",
        {"name": "{drink}"},
        ("{drink}: {price} won", "{drink} ({size}): {price} won", "{drink}: not on the menu"),
    ),
    questions=(
        "Can I get a {size} {drink}, please?",
        "How much is a {drink}?",
        "I would like {drink} with {extra}. Is it possible?",
        "'따뜻하게 해 주세요'는 영어로 어떻게 말해요?",
        "Sorry, can you say that again more slowly?",
        "For here, please. And can I have {extra}?",
        "영수증을 달라고 하려면 뭐라고 말하면 되나요?",
        "I ordered {drink} but this is iced. What should I say?",
        "Can I pay by card?",
        "방금 제 문장에서 틀린 부분이 있으면 고쳐 주세요.",
        "What is the difference between {drink} and a flat white?",
        "To go, please!",
    ),
    sentences=(
        "Good morning! Welcome in. What can I get started for you?",
        "One {size} {drink}, coming right up.",
        "Would you like {extra} with that?",
        'Nice sentence! A small correction: "I\'d like a {drink}" sounds softer than "I want".',
        "That will be {price} won, please. Card or cash?",
        "Is that for here or to go?",
        "You can say: `Could I have it hot, please?`",
        "Take your time. I will say it again, a little more slowly.",
        'Very good. Now try to ask me for {extra}, and remember the word "please".',
        "Your {drink} will be ready at the end of the counter.",
        "I'm sorry about that! Let me make you a new one.",
    ),
    blocks=(
        "| Drink | Size | Price |\n|---|---|---:|\n| {drink} | {size} | {price} won |",
        "> Hi, could I get a {size} {drink} with {extra}, please?\n\nNow you say it.",
        "- **for here**: you drink it in the café\n- **to go**: you take it with you",
    ),
    slots={
        "drink": ("latte", "cappuccino", "americano", "vanilla latte", "matcha latte", "mocha"),
        "size": ("small", "medium", "large", "tall", "grande"),
        "extra": ("an extra shot", "oat milk", "less ice", "whipped cream", "a sleeve"),
        "price": ("4,500", "5,000", "5,500", "6,100", "6,800"),
    },
)

KOREAN_TUTOR = Subject(
    name="korean-tutor",
    titles=("Ordering coffee in Korean", "Korean for cafés", "한국어로 주문하기"),
    system_prompt=(
        "You are a language tutor. Hold the conversation in Korean, for a beginner who speaks"
        " English.\nWe play a scene: ordering coffee in a café in Seoul.\nKeep sentences short,"
        " and correct one mistake at a time."
    ),
    opening="Please begin the conversation with your first sentence.",
    tool=Tool(
        "look_up_price",
        "Look up the price of a drink on the café's menu.",
        {"name": "{drink}"},
        ("{drink}: {price}원", "{drink} {size}: {price}원", "{drink}: 메뉴에 없음"),
    ),
    questions=(
        "{drink} 한 잔 주세요.",
        "{drink} 얼마예요?",
        'How do I say "less sweet" politely?',
        "{size} 사이즈로 주세요. 그리고 {extra} 가능해요?",
        "What does '드시고 가세요?' mean?",
        "아니요, 가져갈게요.",
        "Was my last sentence polite enough?",
        "카드로 계산할게요.",
        "천천히 다시 말해 주세요.",
        "I wanted it hot. How do I say that without being rude?",
    ),
    sentences=(
        "어서 오세요! 주문하시겠어요?",
        "네, {drink} {size} 사이즈 한 잔이요.",
        "드시고 가세요, 가져가세요?",
        "{price}원입니다. 카드로 하시겠어요?",
        "아주 좋아요! `주세요` 앞에 `좀`을 넣으면 더 부드럽게 들려요.",
        "{extra} 추가해 드릴까요?",
        "잠시만 기다려 주세요. {drink} 금방 나옵니다.",
        "한 번 더 천천히 말해 볼게요. 따라해 보세요.",
        "죄송합니다. 바로 따뜻한 것으로 바꿔 드릴게요.",
    ),
    blocks=(
        "| 메뉴 | 사이즈 | 가격 |\n|---|---|---:|\n| {drink} | {size} | {price}원 |",
        "> {drink} 한 잔 좀 주세요. {extra} 가능할까요?\n\n이제 직접 말해 보세요.",
        "1. 먼저 메뉴를 말하고\n2. 그 다음에 사이즈를 말하고\n3. 마지막에 `주세요`라고 해요.",
    ),
    slots={
        "drink": ("카페라떼", "아메리카노", "카푸치노", "바닐라라떼", "녹차라떼", "유자차"),
        "size": ("작은", "중간", "큰", "톨", "그란데"),
        "extra": ("샷 추가", "두유 변경", "얼음 적게", "시럽 적게", "휘핑크림 추가"),
        "price": ("4,500", "5,000", "5,500", "6,100", "6,800"),
    },
)

SUPPORT_EN = Subject(
    name="support-en",
    titles=("Question about an order", "Delivery and returns", "Help with my account"),
    system_prompt=(
        "You answer customers of an online shop, politely and briefly.\nLook an order up before"
        " you say anything about it. Never promise a refund; say what happens next."
    ),
    temperature=0.2,
    tool=Tool(
        "find_order",
        "Find an order and where it is.",
        {"order_number": "{order}"},
        (
            '{{"order": "{order}", "status": "shipped", "carrier": "{carrier}", "days": {days}}}',
            '{{"order": "{order}", "status": "being packed", "carrier": null, "days": {days}}}',
            "no order {order}",
        ),
    ),
    questions=(
        "Hi, where is my order {order}? It should have been here {days} days ago.",
        "The {item} arrived, but the box was damaged. What can I do?",
        "I'd like to return the {item}. Do I have to pay for the shipping?",
        "Can you change the delivery address for {order}?",
        "I was charged twice for the {item}!",
        "How do I reset my password? The e-mail never comes.",
        "And how long does {carrier} usually take?",
        "Thanks, that worked. One more thing: can I get an invoice?",
        "Is the {item} back in stock?",
        "This is the second time I'm asking about {order}.",
    ),
    sentences=(
        "I'm sorry for the trouble with your {item}.",
        "I have looked up order {order}: it was handed to {carrier} and should arrive within"
        " {days} days.",
        "You can send it back within 30 days; the label is in your account under *Orders*.",
        "Please check your spam folder first, then ask for the e-mail once more.",
        "I have passed this on to a colleague, who will write to you within {days} working days.",
        "Could you send us a photo of the box and of the {item}?",
        "The second charge is a reservation by your bank and disappears by itself.",
        "Is there anything else I can help you with?",
    ),
    blocks=(
        "1. Open **Orders**\n2. Choose `{order}`\n3. Press **Return** and print the label",
        "| Order | Carrier | Days left |\n|---|---|---:|\n| {order} | {carrier} | {days} |",
    ),
    slots={
        "order": ("A-10482", "A-11937", "B-20755", "B-31406", "C-48120", "C-55092"),
        "item": ("lamp", "headphones", "backpack", "keyboard", "coffee grinder", "tent"),
        "carrier": ("DHL", "UPS", "FedEx", "the postal service"),
        "days": ("2", "3", "4", "5", "7"),
    },
)

SUPPORT_KO = Subject(
    name="support-ko",
    titles=("배송 문의", "교환 및 환불 문의", "계정 문의", "주문 내역 확인"),
    system_prompt=(
        "온라인 쇼핑몰의 고객 상담원입니다. 공손하고 짧게 답변해주세요.\n주문에 대해 말하기 전에"
        " 먼저 조회해주세요. 환불을 약속하지 말고, 다음 절차를 안내해주세요."
    ),
    temperature=0.2,
    tool=Tool(
        "find_order",
        "주문의 상태와 배송 위치를 조회합니다.",
        {"order_number": "{order}"},
        (
            '{{"주문": "{order}", "상태": "배송 중", "택배사": "{carrier}", "남은 일수": {days}}}',
            '{{"주문": "{order}", "상태": "상품 준비 중", "택배사": null, "남은 일수": {days}}}',
            "{order} 주문이 없습니다",
        ),
    ),
    questions=(
        "주문번호 {order} 언제 도착하나요? 벌써 {days}일이나 지났어요.",
        "{item} 받았는데 상자가 찌그러져 있어요. 어떻게 해야 하나요?",
        "{item} 반품하고 싶은데 배송비는 제가 내야 하나요?",
        "{order} 배송지를 바꿀 수 있을까요?",
        "{item} 결제가 두 번 됐어요!",
        "비밀번호를 잊어버렸는데 메일이 오지 않아요.",
        "{carrier} 배송은 보통 며칠 걸리나요?",
        "네, 감사합니다. 현금영수증도 받을 수 있나요?",
        "{item} 재입고 예정이 있나요?",
        "같은 문의를 벌써 두 번째 드리고 있어요.",
    ),
    sentences=(
        "불편을 드려 죄송합니다, 고객님.",
        "주문번호 {order} 조회해 보니 {carrier}에서 배송 중이며, {days}일 안에 도착할 예정입니다.",
        "받으신 날부터 30일 안에 반품하실 수 있고, 송장은 *주문 내역*에서 출력하실 수 있습니다.",
        "스팸 메일함을 먼저 확인하신 뒤, 메일을 다시 요청해 주세요.",
        "담당자에게 전달했으며, 영업일 기준 {days}일 안에 연락드리겠습니다.",
        "상자와 {item} 사진을 함께 보내 주시겠어요?",
        "두 번째 결제는 카드사의 승인 대기 건으로, 자동으로 취소됩니다.",
        "더 도와드릴 것이 있을까요?",
    ),
    blocks=(
        "1. **주문 내역**을 열고\n2. `{order}` 주문을 고른 다음\n3. **반품 신청**을 눌러 주세요.",
        "| 주문 | 택배사 | 남은 일수 |\n|---|---|---:|\n| {order} | {carrier} | {days} |",
    ),
    slots={
        "order": ("A-10482", "A-11937", "B-20755", "B-31406", "C-48120", "C-55092"),
        "item": ("스탠드 조명", "헤드폰", "백팩", "키보드", "커피 그라인더", "텐트"),
        "carrier": ("CJ대한통운", "한진택배", "롯데택배", "우체국택배"),
        "days": ("2", "3", "4", "5", "7"),
    },
)

DATA_EN = Subject(
    name="data-en",
    titles=("Sales figures", "What happened in {month}?", "Churn by region", "Weekly numbers"),
    system_prompt=(
        "You are a data analyst. Answer from the table `sales`, and only from it.\nRun a query"
        " before you name a figure. Say which rows you left out and why."
    ),
    temperature=0.0,
    tool=Tool(
        "run_query",
        "Run a read-only SQL query and return its rows as CSV.",
        {
            "sql": "SELECT region, sum({metric}) FROM sales WHERE month = '{month}' GROUP BY"
            " region ORDER BY 2 DESC LIMIT 5"
        },
        (
            "region,{metric}\nSeoul,48210\nBusan,20977\n{region},{figure}\nDaegu,8114\n",
            "region,{metric}\n{region},{figure}\n",
            'column "{metric}" does not exist',
        ),
    ),
    questions=(
        "What was our {metric} in {region} in {month}?",
        "Show {metric} by region for {month}.",
        "Why did {metric} drop in {month}?",
        "Which region grew fastest since {month}?",
        "Can you leave the returned orders out?",
        "Plot {metric} per week, please. A table is fine too.",
        "Is the difference between {region} and Seoul significant?",
        "Give me the query, I want to run it myself.",
        "What share of {metric} comes from new customers?",
    ),
    sentences=(
        "In {month}, {region} had a {metric} of **{figure}**.",
        "That is {percent} % more than the month before.",
        "I left out {percent} returned orders, because their {metric} is booked in the next month.",
        "The drop comes from one week only; without it the trend is flat.",
        "With so few rows in {region}, I would not read much into the difference.",
        "Seoul stays first, but {region} has grown fastest since {month}.",
        "About {percent} % of it comes from customers who bought for the first time.",
    ),
    blocks=(
        "| Region | {metric} |\n|---|---:|\n| Seoul | 48,210 |\n| Busan | 20,977 |\n"
        "| {region} | {figure} |",
        "```sql\nSELECT region, sum({metric})\nFROM sales\nWHERE month = '{month}'\n"
        "GROUP BY region\nORDER BY 2 DESC;\n```",
    ),
    slots={
        "metric": ("revenue", "orders", "margin", "visits", "refunds"),
        "month": ("2025-07", "2025-08", "2025-09", "2025-10"),
        "region": ("Incheon", "Daejeon", "Gwangju", "Jeju", "Gangwon"),
        "figure": ("6,480", "9,310", "12,075", "15,902"),
        "percent": ("3", "7", "12", "18", "24"),
    },
)

DATA_KO = Subject(
    name="data-ko",
    titles=("매출 분석", "{month} 지표 확인", "지역별 재구매율", "주간 보고 준비"),
    system_prompt=(
        "데이터 분석가입니다. `sales` 테이블만 근거로 답변해주세요.\n숫자를 말하기 전에 반드시"
        " 쿼리를 실행하고, 제외한 행과 그 이유를 알려주세요."
    ),
    temperature=0.0,
    tool=Tool(
        "run_query",
        "읽기 전용 SQL 쿼리를 실행하고 결과를 CSV로 돌려줍니다.",
        {
            "sql": "SELECT region, sum({metric}) FROM sales WHERE month = '{month}' GROUP BY"
            " region ORDER BY 2 DESC LIMIT 5"
        },
        (
            "region,{metric}\n서울,48210\n부산,20977\n{region},{figure}\n대구,8114\n",
            "region,{metric}\n{region},{figure}\n",
            'column "{metric}" does not exist',
        ),
    ),
    questions=(
        "{month} {region} 지역의 {metric} 알려줘",
        "{month} 기준으로 지역별 {metric} 보여줘",
        "{month}에 {metric} 지표가 왜 떨어졌어?",
        "{month} 이후에 가장 빨리 성장한 지역은 어디야?",
        "반품된 주문은 빼고 다시 계산해줘",
        "주 단위로 그래프를 그려줘. 표로 보여줘도 괜찮아.",
        "{region} 지역과 서울의 차이가 통계적으로 의미가 있어?",
        "직접 돌려 보게 쿼리를 보여줘",
        "{metric} 중에서 신규 고객 비중이 얼마나 돼?",
    ),
    sentences=(
        "{month} {region} 지역의 {metric} 값은 **{figure}** 입니다.",
        "지난달보다 {percent}% 늘었습니다.",
        "반품된 주문 {percent}건은 다음 달에 반영되므로 제외했습니다.",
        "한 주에만 크게 떨어졌고, 그 주를 빼면 추세는 평평합니다.",
        "{region} 지역은 행이 적어서 차이를 크게 해석하기 어렵습니다.",
        "서울이 여전히 1위이지만, {month} 이후 {region} 지역이 가장 빨리 성장했습니다.",
        "처음 구매한 고객의 비중은 약 {percent}% 입니다.",
    ),
    blocks=(
        "| 지역 | {metric} |\n|---|---:|\n| 서울 | 48,210 |\n| 부산 | 20,977 |\n"
        "| {region} | {figure} |",
        "```sql\nSELECT region, sum({metric})\nFROM sales\nWHERE month = '{month}'\n"
        "GROUP BY region\nORDER BY 2 DESC;\n```",
    ),
    slots={
        "metric": ("revenue", "orders", "margin", "visits", "refunds"),
        "month": ("2025-07", "2025-08", "2025-09", "2025-10"),
        "region": ("인천", "대전", "광주", "제주", "강원"),
        "figure": ("6,480", "9,310", "12,075", "15,902"),
        "percent": ("3", "7", "12", "18", "24"),
    },
)

SUBJECTS = (ENGLISH_TUTOR, KOREAN_TUTOR, SUPPORT_EN, SUPPORT_KO, DATA_EN, DATA_KO)

MODELS = {"gpt-4o": 5, "gpt-4o-mini": 3, "gpt-4.1": 2}
"""How often each is asked."""

ERRORS = (
    {"type": "RateLimitError", "kind": "busy", "text": "Error code: 429 - Rate limit reached."},
    {"type": "APITimeoutError", "kind": "timeout", "text": "Request timed out."},
    {"type": "APIConnectionError", "kind": "unreachable", "text": "Connection error."},
    {
        "type": "TruncatedAnswer",
        "kind": "truncated",
        "text": "the connection to the model was cut in the middle of its answer",
    },
)
