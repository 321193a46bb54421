"""A process of its own that records turns: `python -m tests.events.writer STREAM... COUNT SEED`.

Prints the id of each turn once it is acknowledged. Every third turn is recorded twice.
"""

from __future__ import annotations

import os
import random
import sys
import uuid

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")


def main(streams: list[int], count: int, seed: int) -> None:
    import django

    django.setup()
    from langchain_core.messages import AIMessage, HumanMessage

    from turnlog.events.models import Conversation

    choose = random.Random(seed)
    conversations = list(Conversation.objects.filter(pk__in=streams))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        conversation = choose.choice(conversations)
        turn_id = uuid.UUID(int=choose.getrandbits(128), version=4)
        human, answer = HumanMessage(f"{seed}/{number}"), AIMessage("ok", id=str(turn_id))
        for _ in range(2 if number % 3 == 0 else 1):
            conversation.record_turn(human, answer, turn_id=turn_id)
        print(turn_id, flush=True)


if __name__ == "__main__":
    *stream_ids, turns, randomness = map(int, sys.argv[1:])
    main(stream_ids, turns, randomness)
