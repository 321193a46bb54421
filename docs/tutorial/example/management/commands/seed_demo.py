from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from langchain_core.messages import AIMessage, HumanMessage

from example import stories
from example.models import LLMChatRoom

TURNS = [
    (
        "안녕하세요! 카페라떼 중간 사이즈를 주문하고 싶어요.",
        None,
        "您好！欢迎光临。\n\n> 您好，请问要喝点什么？\n\n您可以说: `我要一杯中杯拿铁`",
    ),
    (
        "我要一杯中杯拿铁。多少钱？",
        [
            {
                "tool": "look_up_price",
                "tool_call_id": "call-1",
                "input": {"name": "拿铁"},
                "output": "拿铁: 32元",
                "status": "ok",
                "duration": 0.4,
            }
        ],
        "好的，一杯中杯拿铁。\n\n| 饮料 | 价格 |\n|---|---:|\n| 拿铁 | 32 元 |\n\n请问怎么付款？",
    ),
]


class Command(BaseCommand):
    help = "Create the demo's users and two months of chats. Run again, it changes nothing."

    def handle(self, *args, **options):
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", password="admin")
        admin = users.get(username="admin")
        if users.filter(username="demo").exists():
            return
        demo = users.create_user("demo", password="demo")
        room, __ = LLMChatRoom.objects.get_or_create(pk=1)
        for human, tools, answer in TURNS:
            room.conversation.record_turn(HumanMessage(human), AIMessage(answer), tools, user=demo)
        customers = [users.create_user(name) for name in ("jiwoo", "minjun", "seoyeon")]
        with stories.Clock() as clock:
            stories.everyday(clock, customers)
            stories.refund(clock, customers[0], admin)
            stories.waiting(clock, customers[1])
        call_command("run_projections", once=True, stdout=StringIO())
        stories.queue(admin)
