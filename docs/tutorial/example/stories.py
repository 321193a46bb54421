"""Two months of a small shop's chats, with something in them to find."""

import datetime as dt
import random
from unittest.mock import patch

import pandas as pd
from django.utils import timezone
from langchain_core.messages import AIMessage
from PIL import Image
from turnlog.events import reviews
from turnlog.events.prompt import Prompt
from turnlog.models import Conversation
from turnlog.projections.queues import acts

DAYS = 60
ASKED = [
    ("Where is my order?", "It left our house yesterday and will be with you on Friday."),
    ("Can I still change the address?", "Yes, until the parcel is packed. What is the new one?"),
    ("라떼 잔 세트가 다시 들어오나요?", "네, 다음 주 화요일에 다시 들어옵니다."),
    ("Do you ship to Busan?", "We do. It takes two days."),
    ("영수증을 다시 보내 주세요.", "방금 이메일로 보내 드렸습니다."),
]
PROMPT = Prompt("gpt-4o-mini", {}, "You help customers of a shop.", previous={"messages": []})


def answer(text, model="gpt-4o-mini"):
    usage = {"input_tokens": 40 + len(text), "output_tokens": len(text)}
    usage["total_tokens"] = sum(usage.values())
    return AIMessage(text, usage_metadata=usage, response_metadata={"model_name": model})


class Clock:
    """The log dates its events by this clock while the stories are told."""

    def __init__(self):
        self.now = timezone.now() - dt.timedelta(days=DAYS)

    def __enter__(self):
        self._patch = patch("turnlog.events.attempt.timezone.now", lambda: self.now)
        self._patch.__enter__()
        return self

    def __exit__(self, *error):
        self._patch.__exit__(*error)

    def forward(self, **span):
        self.now += dt.timedelta(**span)


def turn(clock, room, asked, answered, tools=None, **more):
    started = room.start_turn(asked, user=room.user, prompt=PROMPT)
    clock.forward(seconds=random.uniform(0.5, 4))
    room.record_turn(
        asked, answer(answered), tools, user=room.user, turn_id=started.turn_id, **more
    )
    clock.forward(seconds=random.uniform(10, 90))


def everyday(clock, users):
    for number in range(DAYS):
        for _ in range(random.choice([0, 1, 1, 2])):
            user = random.choice(users)
            room = Conversation.objects.create(user=user, title=f"Order {2100 + number}")
            for asked, answered in random.sample(ASKED, random.randint(1, 3)):
                turn(clock, room, asked, answered)
        clock.forward(days=0.9)


def refund(clock, user, operator):
    """A broken cup: a table, a picture, a failure, a clearing, a fork, an erasure and a hold."""
    room = Conversation.objects.create(user=user, title="A broken cup")
    orders = pd.DataFrame({"order": [2130, 2142], "item": ["cup", "saucer"], "price": [32, 12]})
    tools = [
        {"tool": "orders", "tool_call_id": "call-1", "input": {"customer": 7}, "output": orders},
        {"tool": "photo", "tool_call_id": "call-2", "input": {}, "output": picture()},
    ]
    turn(clock, room, "My cup arrived broken.", "I am **sorry**. Shall I refund 32?", tools)
    clock.forward(hours=2)
    failed = room.start_turn("Yes, please.", user=user)
    room.fail_turn(failed.turn_id, error={"type": "RateLimitError", "text": "429: try again later"})
    turn(clock, room, "Yes, please!", "Done. You get 32 back within 7 days.")
    room.fork(user=user)
    reviews.add_note(
        room.pk,
        "Say in the first answer how long a refund takes.",
        by=operator,
        turn_id=room.messages.order_by("-version")[0].turn_id,
        quote="You get 32 back within 7 days.",
    )
    turn(clock, room, "My card is 4111 1111 1111 1111.", "Please do not write your card's number.")
    secret = room.messages.order_by("-version")[0].turn_id
    room.clear(by=user)
    turn(clock, room, "Thank you. My number is 010-2345-6789.", "You are welcome.")
    room.erase([secret], by=operator, reason="request 7")
    room.hold(by=operator, reason="complaint 12")


def waiting(clock, user):
    """A refund that nobody has approved yet."""
    room = Conversation.objects.create(user=user, title="Order 2151 came twice")
    asked = room.start_turn("Order 2151 came twice. Take one back?", user=user, prompt=PROMPT)
    clock.forward(seconds=3)
    refund = {"order": 2151, "item": "cup", "price": 32}
    room.request_approval(
        asked.turn_id,
        [{"number": 0, "tool": "refund", "tool_call_id": "call-1", "input": refund}],
    )


def queue(operator):
    """Conversations for two people to review; run after the worker has read the log."""
    number = acts.open_queue(
        "First answers",
        by=operator,
        instructions="Did the first answer help? Read to the end before you judge.",
        reviewers=2,
    )
    acts.fill(number, "", by=operator, percent=20, seed="november")


def picture():
    image = Image.new("RGB", (160, 120), "#efeee9")
    image.paste("#1b6350", (50, 30, 110, 100))
    image.paste("#efeee9", (76, 30, 82, 62))
    return image
