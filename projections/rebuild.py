"""Rebuilding read models from the log, and checking them against it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from django.db import OperationalError, connections, transaction

from ..events.dialects import dialect_of, is_lock_timeout, log_database
from ..events.listed import fold
from ..events.log import read
from ..events.models import Actor, Conversation
from ..events.models.conversation import require_conversation
from .messages import MessagesProjection
from .models import ConversationMessage

CHUNK = 100
MAX_REFUSALS = 1000


def rebuild(projection: MessagesProjection, stream_ids: Sequence[int]) -> Iterator[int]:
    """Rebuild streams chunk by chunk, each chunk in one short transaction; yields counts done.

    Readers see the old rows or the new, never half. Writers of a chunk's streams wait for it; a
    chunk that would have to wait for them is tried again, a smaller one each time.
    """
    waiting = deque(stream_ids[start : start + CHUNK] for start in range(0, len(stream_ids), CHUNK))
    refused = 0
    while waiting:
        chunk = waiting.popleft()
        try:
            _rebuild_chunk(projection, chunk)
        except OperationalError as error:
            refused += 1
            if not is_lock_timeout(error) or refused > MAX_REFUSALS:
                raise
            half = (len(chunk) + 1) // 2
            waiting.extend(part for part in (chunk[:half], chunk[half:]) if part)
        else:
            yield len(chunk)


def _rebuild_chunk(projection: MessagesProjection, chunk: Sequence[int]) -> None:
    using = log_database()
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            # Before the first read: a batch committed in between would be lost or doubled.
            dialect_of(connections[using]).lock_streams(cursor, chunk, give_way=True)
        for stream_id in chunk:
            projection.rebuild(stream_id)


def differences(stream_id: int) -> list[str]:
    """How a conversation's message rows differ from the log, a sentence each; changes nothing."""
    using = log_database()
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [stream_id])
        expected = {message.version: message for message in fold(read(stream_id))}
        users = dict(
            Actor.objects.using(using)
            .filter(id__in={message.actor_id for message in expected.values()} - {None})
            .values_list("id", "user_id")
        )
        # The text itself, not what it decodes to.
        rows = ConversationMessage.objects.using(using).raw(
            "SELECT id, version, turn_id, actor_id, user_id, created_at, content AS text"
            " FROM turnlog_message WHERE conversation_id = %s",
            [stream_id],
        )
        found = {row.version: row for row in rows}
    problems = [f"version {version} is missing" for version in sorted(expected.keys() - found)]
    for version, row in sorted(found.items()):
        message = expected.get(version)
        if message is None:
            problems.append(f"version {version} should not be there")
            continue
        pairs = {
            "content": (message.content, row.text),
            "turn_id": (message.turn_id, row.turn_id),
            "actor_id": (message.actor_id, row.actor_id),
            "user": (users.get(message.actor_id), row.user_id),
            "created_at": (message.created_at, row.created_at),
        }
        problems += [
            f"version {version}: {name} is not what the log says"
            for name, (wanted, has) in pairs.items()
            if wanted != has
        ]
    return problems


def streams_of(conversation: int | None) -> list[int]:
    """The stream of one conversation, or those of all, in order. Raises UnknownConversation."""
    if conversation is not None:
        require_conversation(conversation)
        return [conversation]
    conversations = Conversation.objects.using(log_database()).order_by("pk")
    return list(conversations.values_list("pk", flat=True))
