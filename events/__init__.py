"""The write side: conversations, their events, the append-only log and its proof."""
