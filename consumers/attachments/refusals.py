from __future__ import annotations


class Refused(Exception):
    """A picture or a file cannot be taken; the message is one sentence for whoever sends it."""
