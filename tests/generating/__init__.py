"""A Django app with one command, `generate_events`: invented conversations, for trials at scale.

Tests and benchmarks use it; the wheel does not contain it. The same seed gives the same
conversations.
"""
