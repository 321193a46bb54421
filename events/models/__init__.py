from .actor import Actor
from .content import Content
from .conversation import Conversation
from .event import Event, Pending, Position
from .proof import SignedCheckpoint, Tile
from .runner import Runner

__all__ = [
    "Actor",
    "Content",
    "Conversation",
    "Event",
    "Pending",
    "Position",
    "Runner",
    "SignedCheckpoint",
    "Tile",
]
