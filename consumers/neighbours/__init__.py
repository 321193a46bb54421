"""Histories for other frameworks: their own messages, kept word for word in turns of the log."""
