"""The data analyst: a chat about a table, whose model answers with Python.

The code runs in `turnlog.consumers.sandbox`. What a table's file holds is read in a process of its
own: neither the one nor the other can hold up the server.
"""
