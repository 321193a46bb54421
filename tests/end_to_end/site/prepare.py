"""Fills the template database: tables, people, rooms with a turn each, sessions. Prints the
session keys as JSON.

Rooms and conversations have the same numbers, so that tests need only one.
"""

import json

import django

django.setup()

from django.contrib.auth import (  # noqa: E402
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.auth.models import Permission  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from example.models import LLMChatRoom  # noqa: E402
from langchain_core.messages import AIMessage, HumanMessage  # noqa: E402
from rooms import GREETING, GREETING_ANSWER, ROOMS, SHOWCASE  # noqa: E402

call_command("migrate", verbosity=0)

PEOPLE = ("ada", "bob", "rita", "rob", "lead")

users = get_user_model().objects
people = {name: users.create_user(name, password=name) for name in PEOPLE}
people["rita"].user_permissions.set(
    Permission.objects.filter(
        codename__in=[
            *("review_conversation", "reveal_personal_data", "inspect_accesses", "export_log"),
        ]
    )
)
for name, more in (("rob", ()), ("lead", ("manage_queues", "resolve_reviews"))):
    people[name].user_permissions.set(
        Permission.objects.filter(codename__in=["review_conversation", *more])
    )

for number in range(1, ROOMS + 1):
    room = LLMChatRoom.objects.create()
    if (room.pk, room.conversation.pk) != (number, number):
        raise SystemExit(f"room {room.pk} has conversation {room.conversation.pk}, not {number}")
    turn = SHOWCASE if number == 1 else (GREETING, GREETING_ANSWER)
    room.conversation.record_turn(HumanMessage(turn[0]), AIMessage(turn[1]), user=people["ada"])

sessions = {}
for name, person in people.items():
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.create()
    sessions[name] = session.session_key
print(json.dumps(sessions))  # noqa: T201
