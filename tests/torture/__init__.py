"""Concurrency, proven: many processes write, read and are killed, and then everything is counted.

`python -m tests.torture` (`make torture`) runs it at length; `test_torture.py` runs it briefly.
"""
