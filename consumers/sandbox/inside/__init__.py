"""The program that runs in the box: Python alone, without Django and without turnlog.

It imports nothing of the rest of turnlog, because the box has nothing of it. The server imports
`frames` from here, the format that both sides speak.
"""
