"""Made-up conversations for trying things at scale; the same seed gives the same ones.

For a seed, a number of events, a number of conversations and a last moment, these come out the
same on every machine: each conversation's title, subject, owner and size, and each event's type,
turn id, actor id, payload, metadata, salt, digest and time. With another last moment the times
move along with it and nothing else changes but hashes. What the database gives differs: primary
keys, and with a conversation's also the hashes of its events.

The salts come from the seed as well. They hide nothing: this is no log for anybody's real words.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random

from turnlog.core.errors import TurnlogError
from turnlog.events.log import NewEvent
from turnlog.events.models import Conversation
from turnlog.events.types import ConversationOpened

from .bulk import Batch, NewStream
from .stage import Person, Stage
from .texts import MODELS, SUBJECTS
from .turns import Step, Talk, Turn

DAYS = 90
SHORTEST = 4
"""Events: opened, and one answered turn."""
MEAN = 100
"""Events in a conversation, where their number is not given."""
MOST_PEOPLE = 200

_FAILED = 0.03
_WITH_TOOLS = 0.135  # Some more at the end of a conversation: 15 % in all.
_CLEARED = 0.01
_UNOWNED = 0.1
_LONG = 0.001
_ROOM = 9
"""With so many events left any turn may come: none takes more than seven or less than two."""


class Plan:
    """How many conversations of how many events. Raises TurnlogError for what cannot be."""

    def __init__(self, events: int, conversations: int | None = None, seed: int = 1) -> None:
        if conversations is None:
            conversations = max(1, events // MEAN)
        if conversations < 1:
            raise TurnlogError(f"--conversations must be 1 or more, found {conversations}")
        if events < SHORTEST * conversations:
            raise TurnlogError(
                f"--events must be {SHORTEST} or more for each conversation, found {events} for"
                f" {conversations}"
            )
        self.seed, self.events = seed, events
        self.sizes = _sizes(Random(f"turnlog {seed}"), events, conversations)
        # Some 50 conversations each.
        self.people = min(MOST_PEOPLE, 2 + conversations // 50)

    def streams(self, stage: Stage, until: dt.datetime) -> Iterator[NewStream]:
        """The conversations, begun one after the other in the 90 days before `until`."""
        count = len(self.sizes)
        for number, size in enumerate(self.sizes):
            rng = Random(f"turnlog {self.seed} {number}")
            days = DAYS * (1 - (number + rng.random()) / count)
            yield _stream(rng, size, stage, until - dt.timedelta(days=days), until)


def _sizes(rng: Random, events: int, conversations: int) -> list[int]:
    """Mostly 5 to 60 turns, one conversation in a thousand with thousands; their sum is exact."""
    shares = [
        rng.lognormvariate(math.log(2500), 0.4)
        if rng.random() < _LONG
        else rng.lognormvariate(math.log(18), 0.9)
        for _ in range(conversations)
    ]
    free, whole = events - SHORTEST * conversations, sum(shares)
    ends = [round(free * end / whole) for end in accumulate(shares, initial=0.0)]
    ends[-1] = free  # Sums of fractions are not.
    return [SHORTEST + after - before for before, after in pairwise(ends)]


def _stream(
    rng: Random, size: int, stage: Stage, begin: dt.datetime, until: dt.datetime
) -> NewStream:
    subject = rng.choice(SUBJECTS)
    [model] = rng.choices(list(MODELS), list(MODELS.values()))
    runner = uuid.UUID(int=rng.getrandbits(128), version=4)
    talk = Talk(rng, subject, stage.prompts[subject.name, model], runner)
    words = {name: choices[0] for name, choices in subject.slots.items()}
    title = rng.choice(subject.titles).format_map(words)
    # An owner, or nobody: then each speaks for themselves.
    speakers = [_somebody(rng, stage.people)]
    owner = None if rng.random() < _UNOWNED else speakers[0]
    if owner is None:
        speakers += [_somebody(rng, stage.people) for _ in range(2)]
    conversation = Conversation(
        user_id=owner and owner.user_id,
        owner_actor_id=owner and owner.actor_id,
        title=title,
    )
    salts = Random(rng.getrandbits(64)).randbytes
    opened = NewEvent(
        ConversationOpened(str(owner.actor_id) if owner else None, title),
        actor_id=owner and owner.actor_id,
    )
    steps = _steps(talk, speakers, size)
    return NewStream(conversation, size, _batches(steps, opened, size, begin, until), salts)


def _somebody(rng: Random, people: Sequence[Person]) -> Person:
    # Squared: a few talk much, many a little.
    return people[int(len(people) * rng.random() ** 2)]


def _batches(
    steps: Iterator[Step], opened: NewEvent, size: int, begin: dt.datetime, until: dt.datetime
) -> Iterator[Batch]:
    """The steps with their times: always forward, and never past `until`."""
    at, left = begin, size
    first = next(steps)
    at += dt.timedelta(seconds=min(first.seconds, (until - at).total_seconds() / left))
    # As in an append: the stream is opened by its first batch.
    yield Batch(at, [opened, *first.events])
    left -= 1 + len(first.events)
    for step in steps:
        share = (until - at).total_seconds() / left
        at += dt.timedelta(seconds=min(step.seconds, share))
        yield Batch(at, step.events)
        left -= len(step.events)


def _steps(talk: Talk, speakers: Sequence[Person], size: int) -> Iterator[Step]:
    """Turns, and now and then a clearing, until the conversation has `size` events."""
    rng, initial = talk.rng, True
    while left := size - talk.version:
        actor_id, chance = rng.choice(speakers).actor_id, rng.random()
        room = left >= _ROOM
        if room and not initial and chance < _CLEARED * 0.9:
            yield talk.cleared(_pause(rng), actor_id)
            continue
        tools = _any_turn(rng) if room else _last_turn(left)
        turn = Turn(talk, actor_id, initial=initial)
        initial = False
        yield turn.started(_pause(rng))
        if room and chance > 1 - _CLEARED * 0.1:
            # Some do not wait for the answer.
            yield talk.cleared(rng.uniform(0.5, 3), actor_id)
        yield turn.failed() if tools is None else turn.completed(tools)


def _any_turn(rng: Random) -> int | None:
    """How many tools a turn calls; None for one that fails."""
    chance = rng.random()
    if chance < _FAILED:
        return None
    if chance < _FAILED + _WITH_TOOLS:
        return rng.choice((1, 1, 2, 3))
    return 0


def _last_turn(left: int) -> int | None:
    """The same, so that turns of two events and more fill what is left."""
    return {2: None, 3: 0, 4: 1, 5: 2, 6: 0, 7: 0, 8: 0}[left]


def _pause(rng: Random) -> float:
    """Seconds until a person says something: mostly soon, at times hours or days later."""
    chance = rng.random()
    if chance < 0.85:
        return rng.lognormvariate(math.log(40), 0.8)
    if chance < 0.98:
        return rng.lognormvariate(math.log(1800), 1)
    return rng.expovariate(1 / (1.5 * 86_400))
